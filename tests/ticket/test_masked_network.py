"""Law 4 and the gradient by weights: a network under a mask against masked layers, scales, an emptied network."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence

import pytest
import torch
from torch.func import functional_call

from slt_bench.networks.roles import FREE, LOCKED, PRUNED
from slt_bench.params.recipes import Scale
from slt_bench.ticket.masked_network import MaskedNetwork
from tests.toys_networks import SOURCES, make_network, naive_weights
from tests.toys_tickets import make_ticket


def set_random_mask(network: MaskedNetwork) -> None:
    network.mask.copy_(torch.rand(network.mask.shape, generator=torch.Generator().manual_seed(0)) < 0.5)
    network.compose()


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("scale", ["none", "static", "dynamic"])
def test_logits_and_gradients_agree_with_masked_layers(source: str, scale: Scale) -> None:
    """The gradient by a mask is that by its weight times the weight."""
    network = make_network(source, scale)
    set_random_mask(network)
    images = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    logits = network(images)
    logits.square().sum().backward()

    free = network.source.roles == FREE
    multiplier = torch.zeros(network.source.size).masked_scatter(free, network.mask.float()).requires_grad_()
    expected = functional_call(network.module, naive_weights(network, multiplier), (images,))
    expected.square().sum().backward()
    torch.testing.assert_close(logits, expected)
    assert multiplier.grad is not None
    by_mask = network.collect_gradient() * network.free_weights
    torch.testing.assert_close(by_mask, multiplier.grad[free], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("scale", ["none", "static", "dynamic"])
def test_an_emptied_network_gives_zero_and_never_nan(scale: Scale) -> None:
    network = make_network("dense", scale)
    network.mask.zero_()
    network.compose()
    logits = network(torch.randn(2, 3, 8, 8))
    logits.sum().backward()
    assert not logits.any() and torch.isfinite(network.collect_gradient()).all()


def test_roles_decide_where_the_mask_is_empty() -> None:
    network = make_network("frozen")
    network.mask.zero_()
    network.compose()
    effective, roles = network.effective, network.source.roles
    assert not effective[roles == PRUNED].any() and not effective[roles == FREE].any()
    assert torch.equal(effective[roles == LOCKED], network.source.weights[roles == LOCKED])


def test_counts_are_those_of_the_mask() -> None:
    network = make_network("frozen")
    set_random_mask(network)
    counts, layers = network.counts(), network.layer_counts()
    assert counts.kept == int(torch.count_nonzero(network.effective)) == sum(layer.kept for layer in layers)
    assert counts.total == network.source.size == sum(layer.total for layer in layers)
    assert counts.pruned == network.source.count(PRUNED) and counts.locked == network.source.count(LOCKED)


def test_trained_weights_take_the_place_of_masked_ones() -> None:
    network = make_network("frozen")
    trained, roles = torch.randn(network.mask.shape), network.source.roles
    network.compose(trained)
    assert torch.equal(network.effective[roles == FREE], trained)
    assert torch.equal(network.effective[roles == LOCKED], network.source.weights[roles == LOCKED])


def test_logits_need_a_gradient_only_where_one_was_asked_for() -> None:
    images = torch.randn(2, 3, 8, 8)
    assert make_network()(images).requires_grad and not make_network(with_gradient=False)(images).requires_grad
    assert not make_ticket(learned="weights").network()(images).requires_grad


def test_a_network_that_nobody_needs_is_gone_at_once(no_collector: None) -> None:
    """Its vectors fill a GPU, where the next cell of a process needs the memory."""
    network = make_network("dense")
    network(torch.zeros(1, 3, 8, 8)).sum().backward()
    left = weakref.ref(network)
    del network
    assert left() is None


def test_a_gradient_is_collected_once() -> None:
    network = make_network()
    network(torch.randn(2, 3, 8, 8)).sum().backward()
    network.collect_gradient()
    with pytest.raises(AssertionError, match="there was no backward pass"):
        network.collect_gradient()
    network(torch.randn(2, 3, 8, 8)).sum().backward()
    with pytest.raises(AssertionError, match="collect each gradient before"):
        network(torch.randn(2, 3, 8, 8)).sum().backward()


@pytest.mark.slow
def test_kernels_are_of_one_shape_whatever_was_compiled_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """A search that is stopped in its validation goes on with that, and one process runs several cells: the bits stay."""
    symbols = list[bool]()  # of each graph, whether a size in it is left open

    def look(graph: torch.fx.GraphModule, inputs: Sequence[object]) -> Callable[..., object]:
        symbols.append(any(isinstance(each, torch.SymInt) for each in inputs))
        return graph.forward

    plain = torch.compile
    monkeypatch.setattr(torch, "compile", lambda function, **options: plain(function, backend=look, **options))
    for sizes in ((4, 6), (6, 4, 5), (2, 3)):
        module, source = make_ticket().spec.build()
        network = MaskedNetwork(module, source, "dynamic", compiled=True, with_gradient=True)
        for size in sizes:
            network.train(size % 2 == 0)(torch.ones(size, 3, 8, 8))
    assert len(symbols) == 7 and not any(symbols)


@pytest.mark.slow
@pytest.mark.campaign
def test_a_compiled_network_computes_the_same(one_compiler: None) -> None:
    from torch._dynamo.utils import counters

    results = []
    for compiled in (False, True):
        module, source = make_ticket().spec.build()
        network = MaskedNetwork(module, source, "dynamic", compiled=compiled, with_gradient=True).train()
        set_random_mask(network)
        logits = network(torch.linspace(-1, 1, 4 * 3 * 64).reshape(4, 3, 8, 8))
        logits.square().sum().backward()
        results.append((logits.detach(), network.collect_gradient()))
    assert counters["stats"]["unique_graphs"] >= 1 and not counters["graph_break"]
    for plain, of_compiled in zip(*results, strict=True):
        torch.testing.assert_close(plain, of_compiled, rtol=1e-3, atol=1e-4)
