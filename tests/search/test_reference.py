"""The fast engine against a naive one (tests/reference.py): equal masks on every position after a number of steps."""

import pytest
import torch
from torch.nn.functional import cross_entropy

from slt_bench.networks import registry
from slt_bench.networks.budget import freeze
from slt_bench.networks.registry import batch_norm_statistics
from slt_bench.networks.roles import FREE, LOCKED, random_roles
from slt_bench.networks.source import initial_scores, make_source
from slt_bench.params.recipes import Recipe, Scale
from slt_bench.params.searches import Phase, Selection
from slt_bench.search.methods.edge_popup import EdgePopup, ScoreMethod
from slt_bench.search.schedules import learning_rate
from slt_bench.search.steps.optimizer import Sgd
from slt_bench.ticket.masked_network import MaskedNetwork
from tests.reference import NaiveEdgePopup
from tests.toys_searches import edge_popup

RECIPE, PHASE = Recipe(epochs=5, batch_size=8, learning_rate=0.1), Phase(5, 0.5)
SOURCES = {"dense": (0.0, 0.0), "pruned": (0.3, 0.0), "frozen": (0.25, 0.25)}
# The combinations of Conv-6 hold every pair of source, selection and scale.
LONG = [
    ("dense", "global", "none"),
    ("pruned", "local", "dynamic"),
    ("frozen", "local", "static"),
    ("frozen", "global", "dynamic"),
]
SHORT = [
    ("dense", "local", "static"),
    ("dense", "global", "dynamic"),
    ("pruned", "local", "none"),
    ("pruned", "global", "static"),
    ("frozen", "global", "none"),
]
RESNET = [("dense", "local", "none"), ("pruned", "global", "static"), ("frozen", "local", "dynamic")]


@pytest.mark.parametrize(
    ("kind", "source", "selection", "scale", "steps"),
    [
        *(("conv6", *combination, 50) for combination in LONG),
        *(("conv6", *combination, 10) for combination in SHORT),
        *(pytest.param("resnet18", *combination, 50, marks=pytest.mark.slow) for combination in RESNET),
    ],
)
def test_masks_of_both_engines(kind: str, source: str, selection: Selection, scale: Scale, steps: int) -> None:
    """Equal but for ties in floating point: an edge on which they differ has a score within 1e-5 of its threshold."""
    method, naive = both(kind, source, selection, scale)
    fast, optimizer = method.network, Sgd(method.learned, 0.9, 1e-4)
    generator = torch.Generator().manual_seed(1)
    prototypes = torch.randn(10, 3, 8, 8, generator=generator)
    fast.train()
    first = fast.mask.clone()
    for number in range(steps):
        labels = torch.randint(0, 10, (8,), generator=generator)
        images = prototypes[labels] + torch.randn(8, 3, 8, 8, generator=generator)
        rate = learning_rate(RECIPE, PHASE, number, 10)
        cross_entropy(fast(images), labels).backward()
        optimizer.step(method.gradient(fast.collect_gradient()), rate)
        method.compose(0)
        naive.step(images, labels, rate)
    assert int((first ^ fast.mask).sum()) > 0.02 * fast.mask.numel(), "the search has hardly moved"
    naive_mask = torch.empty(fast.source.size, dtype=torch.bool)
    for layer, masked in zip(fast.source.layers, naive.layers, strict=True):
        layer.view(naive_mask).copy_(masked.mask)
    roles = fast.source.roles
    assert naive_mask[roles == LOCKED].all() and int(naive_mask.sum()) == fast.counts().kept
    differing = fast.mask ^ naive_mask[roles == FREE]
    for start, stop in bounds(fast, selection):
        magnitude, kept = method.learned[start:stop].abs(), fast.mask[start:stop]
        if differing[start:stop].any():
            threshold = magnitude[kept].min()
            torch.testing.assert_close(magnitude[differing[start:stop]], threshold.expand(int(differing[start:stop].sum())),
                                       rtol=1e-5, atol=0)  # fmt: skip
    assert int(differing.sum()) <= 4  # none at all where this was written
    statistics = (batch_norm_statistics(engine.module) for engine in (fast, naive))
    for of_fast, of_naive in zip(*statistics, strict=True):
        torch.testing.assert_close(of_fast, of_naive, rtol=1e-3, atol=1e-4)


def both(kind: str, source: str, selection: Selection, scale: Scale) -> tuple[ScoreMethod[EdgePopup], NaiveEdgePopup]:
    """Both engines, with equal weights, roles and scores."""
    modules = [registry.build(kind, 0.125, 8, 10) for _ in range(2)]
    layers = registry.searchable_layers(modules[0])
    roles = random_roles(0, freeze([layer.shape for layer in layers], *SOURCES[source], "erk", "joint"))
    network = make_source(layers, 0, "kaiming_uniform", roles)
    method = edge_popup(MaskedNetwork(modules[0], network, scale, with_gradient=True), 0.5, selection)
    scores = torch.zeros(network.size).masked_scatter(roles == FREE, initial_scores(network, 0))
    parts = ([layer.view(vector) for layer in layers] for vector in (network.weights, roles, scores))
    weights_of, roles_of, scores_of = parts
    locked = network.budget.locked.tolist()
    free = method.keep[0]
    keep = [free[0] + sum(locked)] if selection == "global" else [a + b for a, b in zip(free, locked, strict=True)]
    return method, NaiveEdgePopup(modules[1], weights_of, roles_of, scores_of, keep, scale)


def bounds(network: MaskedNetwork, selection: str) -> list[tuple[int, int]]:
    """Where each threshold holds."""
    stops = network.free_stops if selection == "local" else network.free_stops[-1:]
    return list(zip([0, *stops[:-1]], stops, strict=True))
