"""Law 3 and the contract of search algorithms: gradients against a naive reference, exact counts, state, what is found."""

from __future__ import annotations

from typing import Any, get_args

import pytest
import torch
from torch.func import functional_call

from slt_bench.networks import registry
from slt_bench.networks.budget import freeze
from slt_bench.networks.roles import FREE, LOCKED, random_roles
from slt_bench.networks.source import initial_scores, make_source, uniform_scores
from slt_bench.params.recipes import Scale
from slt_bench.params.searches import BUILT_IN, Search, Selection, search_class
from slt_bench.search.methods.contract import Method
from slt_bench.search.methods.edge_popup import EdgePopup
from slt_bench.search.methods.gem_miner import GemMiner
from slt_bench.search.methods.iterative_edge_popup import IterativeEdgePopup
from slt_bench.search.methods.random_mask import RandomMask
from slt_bench.search.methods.weight_training import WeightTraining
from slt_bench.search.steps.optimizer import Sgd
from slt_bench.search.steps.selector import Selector
from slt_bench.ticket.masked_network import MaskedNetwork
from tests.toys_networks import SOURCES, make_network, naive_weights
from tests.toys_searches import RECIPE, edge_popup

SEARCHES: dict[str, Search] = {
    "edge-popup": EdgePopup(kind="edge-popup"),
    "iterative-edge-popup": IterativeEdgePopup(kind="iterative-edge-popup", iterations=2, selection="local"),
    "weight-training": WeightTraining(kind="weight-training"),
    "random-mask": RandomMask(kind="random-mask"),
}


def make_method(kind: str, network: MaskedNetwork) -> Method[Any]:
    search = SEARCHES[kind]
    method: Method[Any] = search.algorithm(search, network, search.phases(RECIPE, 0.25, 0.6), RECIPE, 0)
    method.compose(0)
    return method


def test_every_name_of_ours_is_that_of_its_declaration() -> None:
    for kind in BUILT_IN:
        assert get_args(search_class(kind).model_fields["kind"].annotation) == (kind,)


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("scale", ["none", "static", "dynamic"])
def test_gradients_of_scores_agree_with_masked_layers(source: str, scale: Scale) -> None:
    """Edge-popup's straight-through estimator as the papers write it: the mask forwards, |score| backwards."""
    network = make_network(source, scale)
    method = edge_popup(network)
    images = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    network(images).square().sum().backward()

    free = network.source.roles == FREE
    scores = torch.zeros(network.source.size).masked_scatter(free, method.learned).requires_grad_()
    mask = torch.zeros(network.source.size).masked_scatter(free, network.mask.float())
    multiplier = mask + scores.abs() - scores.abs().detach()
    functional_call(network.module, naive_weights(network, multiplier), (images,)).square().sum().backward()
    assert scores.grad is not None and not scores.grad[~free].any()
    found = method.gradient(network.collect_gradient())
    torch.testing.assert_close(found, scores.grad[free], rtol=1e-4, atol=1e-4)


def test_a_closed_edge_gets_no_gradient() -> None:
    network = make_network()
    method = edge_popup(network)
    method.learned[:100] = 0
    gradient = method.gradient(torch.ones(network.mask.shape))
    assert not gradient[:100].any() and gradient[100:].all()


def test_trained_weights_are_the_effective_weights() -> None:
    network = make_network("dense")
    method = make_method("weight-training", network)
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
    torch.testing.assert_close(method.gradient(network.collect_gradient()), expected)
    method.learned.add_(1.0)
    assert torch.equal(method.compose(0), torch.ones_like(network.mask))
    assert torch.equal(network.effective, network.source.weights + 1)


def test_what_each_algorithm_starts_from() -> None:
    network = make_network()
    scores = initial_scores(network.source, 0, RECIPE.score_init)
    starts = {kind: make_method(kind, network).learned for kind in SEARCHES}
    assert torch.equal(starts["edge-popup"], scores) and torch.equal(starts["iterative-edge-popup"], scores)
    assert torch.equal(starts["weight-training"], network.free_weights)
    assert torch.equal(starts["random-mask"], uniform_scores(network.source, 0))
    assert starts["weight-training"].data_ptr() != network.free_weights.data_ptr()  # the source's weights are never trained


def test_what_each_algorithm_has_found() -> None:
    for kind in SEARCHES:
        network = make_network()
        method = make_method(kind, network)
        found = method.found()
        assert (found.weights is not None) == (kind == "weight-training") == (method.search.learns == "weights")
        assert (found.mask is None) == (kind == "weight-training")
        if found.mask is not None:
            assert int(found.mask.sum()) == network.counts().kept_free < network.mask.numel()


@pytest.mark.parametrize("kind", SEARCHES)
def test_state_brings_an_algorithm_back(kind: str) -> None:
    method, other = make_method(kind, make_network()), make_method(kind, make_network())
    method.learned.mul_(torch.linspace(0.5, 2, method.learned.numel()))
    mask, effective = method.compose(0), method.network.effective
    other.load({name: tensor.clone() for name, tensor in method.state().items()})
    assert torch.equal(other.compose(0), mask) and torch.equal(other.network.effective, effective)
    assert torch.equal(other.compose(0), mask) and torch.equal(other.network.effective, effective)  # composed once more


@pytest.mark.parametrize("source", SOURCES)
def test_both_ends_of_sparsity(source: str) -> None:
    p, lock = SOURCES[source]
    for end in ("free", "none"):
        network = make_network(source)
        edge_popup(network, p if end == "free" else 1 - lock)
        kept = network.source.count(FREE) if end == "free" else 0
        assert network.counts().kept_free == kept
        assert int(torch.count_nonzero(network.effective)) == kept + network.source.count(LOCKED)


@pytest.mark.parametrize("selection", ["global", "local"])
@pytest.mark.parametrize("sparsity", [0.25, 0.3, 0.5, 0.61803, 0.75])
def test_counts_are_exact(sparsity: float, selection: Selection) -> None:
    network = make_network("frozen")
    edge_popup(network, sparsity, selection)
    counts, n = network.counts(), network.source.size
    assert counts.kept == n - round(sparsity * n)
    assert counts.pruned == round(0.25 * n) and counts.locked == round(0.25 * n)


def test_ends_work_where_roundings_disagree() -> None:
    """p + l = 1 and an odd number of edges."""
    module = registry.build("conv2", 1 / 256, 4, 10)
    layers = registry.searchable_layers(module)
    budget = freeze([x.shape for x in layers], 0.5, 0.5, "erk", "joint")
    drawn = make_source(layers, 0, "kaiming_uniform", random_roles(0, budget))
    assert drawn.size % 2 == 1 and drawn.count(FREE) == 0
    network = MaskedNetwork(module, drawn, "none")
    assert Selector(network).keep_for(0.5) == [0]
    edge_popup(network)
    assert network(torch.zeros(2, 3, 4, 4)).shape == (2, 10)


@pytest.mark.parametrize("freezing_ratio", [0.0, 0.5, 0.9])
def test_what_is_learned_takes_memory_for_free_edges_alone(freezing_ratio: float) -> None:
    module = registry.build("conv6", 0.5, 32, 10)
    layers, half = registry.searchable_layers(module), freezing_ratio / 2
    roles = random_roles(0, freeze([x.shape for x in layers], half, half, "epl", "joint"))
    drawn = make_source(layers, 0, "kaiming_uniform", roles)
    network = MaskedNetwork(module, drawn, "none", with_gradient=True)
    method = edge_popup(network)
    optimizer = Sgd(method.learned, 0.9, 1e-4)
    network(torch.randn(2, 3, 32, 32)).sum().backward()
    gradient = method.gradient(network.collect_gradient())
    free = round((1 - freezing_ratio) * drawn.size)
    for vector in (method.learned, optimizer.velocity, network.mask, gradient):
        assert abs(vector.numel() - free) <= 1 and vector.untyped_storage().nbytes() == vector.numel() * vector.element_size()


def method_of(kind: str, **parameters: Any) -> Any:
    declared, network = search_class(kind)(kind=kind, **parameters), make_network()
    return declared.algorithm(declared, network, declared.phases(RECIPE, 0.25, 0.6), RECIPE, 0)


def test_masks_of_chance_depend_on_the_seed() -> None:
    gates, random = method_of("bernoulli"), method_of("random-mask")
    one, ranking = gates.compose(0).clone(), random.draw_ranking(0)
    gates.seed = random.seed = 1
    assert not torch.equal(gates.compose(0), one) and not torch.equal(random.draw_ranking(0), ranking)


def test_a_weight_that_was_drawn_as_often_as_a_ticket_can_say_stays() -> None:
    method = method_of("iterand", every=1, probability=1.0)
    method.draws.fill_(255)
    method.network.mask.fill_(False)
    method.after_step(1)
    assert (method.draws == 255).all()


def test_what_gem_miner_has_closed_is_in_no_ticket() -> None:
    method = method_of("gem-miner", period=2)
    method.open[::3] = False
    method.learned[::3] = 1.0
    method.settle(2)
    assert not method.network.mask[::3].any()


@pytest.mark.parametrize("sparsity", [0.05, 0.9])
def test_no_layer_of_gem_miner_keeps_more_than_before(sparsity: float) -> None:
    """Shares of layers that are rounded to the nearest could rise by an edge, which would be one that was closed for ever."""
    module = registry.build("conv2", 0.1, 8, 10)
    layers = registry.searchable_layers(module)
    roles = torch.full((sum(layer.size for layer in layers),), FREE, dtype=torch.int8)
    network = MaskedNetwork(module, make_source(layers, 0, "kaiming_uniform", roles), "none")
    phases = GemMiner(kind="gem-miner", period=1).phases(RECIPE.model_copy(update={"epochs": 300}), 0.0, sparsity)
    keeps = torch.tensor(Selector(network, "local").keep_of_phases(phases))
    assert len(keeps) == 300 and (keeps.diff(dim=0) <= 0).all()
