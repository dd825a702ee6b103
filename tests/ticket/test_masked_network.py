"""Laws 3 and 4: gradients against a naive reference, scales, both ends of sparsity."""

from math import sqrt

import pytest
import torch
from torch import Tensor
from torch.func import functional_call

from slt_bench.networks import registry
from slt_bench.networks.budget import freeze
from slt_bench.networks.source import FREE, LOCKED, PRUNED, initial_scores, make_source, random_roles
from slt_bench.search.optimizer import Sgd
from slt_bench.ticket.masked_network import MaskedNetwork
from tests.toys_tickets import make_ticket

SOURCES = {"dense": (0.0, 0.0), "pruned": (0.4, 0.0), "frozen": (0.25, 0.25)}


def make(source: str = "frozen", scale: str = "none", learns: str = "scores", init: str = "kaiming_uniform") -> MaskedNetwork:
    module = registry.build("conv2", 0.125, 8, 10)
    layers = registry.searchable_layers(module)
    roles = random_roles(0, freeze([x.shape for x in layers], *SOURCES[source], "epl", "joint"))
    drawn = make_source(layers, 0, init, roles)
    learned = drawn.weights[drawn.roles == FREE] if learns == "weights" else initial_scores(drawn, 0)
    return MaskedNetwork(module, drawn, learned, learns, scale)


def naive_weights(network: MaskedNetwork, scores: Tensor, mask: Tensor) -> dict[str, Tensor]:
    """Edge-popup as the papers write it, one layer at a time; `scores` and `mask` over all N edges."""
    roles, total = network.source.roles, network.source.size
    forward = torch.where(roles == LOCKED, 1.0, mask.float())
    multiplier = forward + scores.abs() - scores.abs().detach()  # the straight-through estimator
    multiplier = torch.where(roles == FREE, multiplier, forward)
    weights = {}
    for layer in network.source.layers:
        part = slice(layer.start, layer.stop)
        density = {"none": 1.0, "static": float(forward.sum()) / total,
                   "dynamic": float(forward[part].sum()) / layer.size}[network.scale]  # fmt: skip
        factor = 1 / sqrt(density) if density else 0.0
        weights[layer.name] = layer.view(network.source.weights) * layer.view(multiplier) * factor
    return weights


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("scale", ["none", "static", "dynamic"])
def test_logits_and_gradients_agree_with_masked_layers(source: str, scale: str) -> None:
    network = make(source, scale)
    network.select(network.keep_for(0.5))
    images = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    logits = network(images)
    logits.square().sum().backward()

    free = network.source.roles == FREE
    scores = torch.zeros(network.source.size).masked_scatter(free, network.learned.detach()).requires_grad_()
    mask = torch.zeros(network.source.size, dtype=torch.bool).masked_scatter(free, network.mask)
    expected = functional_call(network.module, naive_weights(network, scores, mask), (images,))
    expected.square().sum().backward()
    torch.testing.assert_close(logits, expected)
    assert network.learned.grad is not None and scores.grad is not None
    torch.testing.assert_close(network.learned.grad, scores.grad[free], rtol=1e-4, atol=1e-4)
    assert not scores.grad[~free].any()


@pytest.mark.parametrize("source", SOURCES)
def test_both_ends_of_sparsity(source: str) -> None:
    network, (p, lock) = make(source), SOURCES[source]
    for sparsity, kept in ((p, network.source.count(FREE)), (1 - lock, 0)):
        network.select(network.keep_for(sparsity))
        assert network.counts().kept_free == kept
        effective = network.effective
        assert int(torch.count_nonzero(effective)) == kept + network.source.count(LOCKED)


@pytest.mark.parametrize("sparsity", [0.25, 0.3, 0.5, 0.61803, 0.75])
def test_counts_are_exact(sparsity: float) -> None:
    network = make("frozen")
    network.select(network.keep_for(sparsity))
    counts, n = network.counts(), network.source.size
    assert counts.kept == n - round(sparsity * n)
    assert counts.pruned == round(0.25 * n) and counts.locked == round(0.25 * n)
    layers = network.layer_counts()
    assert sum(layer.kept for layer in layers) == counts.kept and sum(layer.total for layer in layers) == n


@pytest.mark.parametrize("scale", ["none", "static", "dynamic"])
def test_an_emptied_network_gives_zero_and_never_nan(scale: str) -> None:
    network = make("dense", scale)
    network.select([0])
    logits = network(torch.randn(2, 3, 8, 8))
    logits.sum().backward()
    assert not logits.any()
    assert network.learned.grad is not None and torch.isfinite(network.learned.grad).all()


def test_ends_work_where_roundings_disagree() -> None:
    """p + l = 1 and an odd number of edges."""
    module = registry.build("conv2", 1 / 256, 4, 10)
    layers = registry.searchable_layers(module)
    budget = freeze([x.shape for x in layers], 0.5, 0.5, "erk", "joint")
    drawn = make_source(layers, 0, "kaiming_uniform", random_roles(0, budget))
    assert drawn.size % 2 == 1 and drawn.count(FREE) == 0
    network = MaskedNetwork(module, drawn, initial_scores(drawn, 0), "scores", "none")
    network.select(network.keep_for(0.5))
    assert network(torch.zeros(2, 3, 4, 4)).shape == (2, 10)


def test_roles_decide_where_nothing_is_learned() -> None:
    network = make("frozen")
    network.select([0])
    effective, roles = network.effective, network.source.roles
    assert not effective[roles == PRUNED].any() and not effective[roles == FREE].any()
    assert torch.equal(effective[roles == LOCKED], network.source.weights[roles == LOCKED])


def test_trained_weights_are_the_effective_weights() -> None:
    network = make("dense", learns="weights")
    network.select([0])
    assert torch.equal(network.effective, network.source.weights)
    images = torch.randn(4, 3, 8, 8)
    network(images).square().sum().backward()
    weights = {x.name: x.view(network.source.weights).clone().requires_grad_() for x in network.source.layers}
    functional_call(network.module, weights, (images,)).square().sum().backward()
    expected = torch.empty(network.source.size)
    for layer in network.source.layers:
        gradient = weights[layer.name].grad
        assert gradient is not None
        layer.view(expected).copy_(gradient)
    assert network.learned.grad is not None
    torch.testing.assert_close(network.learned.grad, expected)


@pytest.mark.parametrize("freezing_ratio", [0.0, 0.5, 0.9])
def test_what_is_learned_takes_memory_for_free_edges_alone(freezing_ratio: float) -> None:
    module = registry.build("conv6", 0.5, 32, 10)
    layers, half = registry.searchable_layers(module), freezing_ratio / 2
    roles = random_roles(0, freeze([x.shape for x in layers], half, half, "epl", "joint"))
    drawn = make_source(layers, 0, "kaiming_uniform", roles)
    network = MaskedNetwork(module, drawn, initial_scores(drawn, 0), "scores", "none")
    optimizer = Sgd(network.learned, 0.9, 1e-4)
    network.select(network.keep_for(0.5))
    network(torch.randn(2, 3, 32, 32)).sum().backward()
    free = round((1 - freezing_ratio) * drawn.size)
    assert network.learned.grad is not None
    for vector in (network.learned, optimizer.velocity, network.mask, network.learned.grad):
        assert abs(vector.numel() - free) <= 1 and vector.untyped_storage().nbytes() == vector.numel() * vector.element_size()


@pytest.mark.slow
def test_a_compiled_network_computes_the_same() -> None:
    from torch._dynamo.utils import counters

    results = []
    for compiled in (False, True):
        module, source = make_ticket().spec.build()
        network = MaskedNetwork(module, source, initial_scores(source, 0), "scores", "dynamic", compiled=compiled).train()
        network.select(network.keep_for(0.5))
        logits = network(torch.linspace(-1, 1, 4 * 3 * 64).reshape(4, 3, 8, 8))
        logits.square().sum().backward()
        results.append((logits.detach(), network.learned.grad))
    assert counters["stats"]["unique_graphs"] >= 1 and not counters["graph_break"]
    for plain, of_compiled in zip(*results, strict=True):
        torch.testing.assert_close(plain, of_compiled, rtol=1e-3, atol=1e-4)
