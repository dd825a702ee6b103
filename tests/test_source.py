"""Law 5: one seed, one set of weights, whatever the roles; roles are exact and nested."""

import hashlib

import numpy as np
import pytest
import torch

from slt_bench import networks
from slt_bench.layouts import freeze
from slt_bench.source import FREE, LOCKED, PRUNED, SourceNetwork, initial_scores, make_source, random_roles, uniform_scores

LAYERS = networks.searchable_layers(networks.build("conv4", 0.25, 16, 10))
SHAPES = [layer.shape for layer in LAYERS]
N = LAYERS[-1].stop


def source(p: float = 0.0, lock: float = 0.0, seed: int = 0, init: str = "kaiming_uniform") -> SourceNetwork:
    return make_source(LAYERS, seed, init, random_roles(seed, freeze(SHAPES, p, lock, "erk", "joint")))


def test_known_answer() -> None:
    made = source(0.3, 0.2, seed=7)
    assert hashlib.sha256(made.weights.numpy().tobytes()).hexdigest()[:16] == WEIGHTS
    assert hashlib.sha256(made.roles.numpy().tobytes()).hexdigest()[:16] == ROLES


def test_every_kind_of_source_has_the_same_weights() -> None:
    dense = source().weights
    assert torch.equal(dense, source(0.5).weights)
    assert torch.equal(dense, source(0.25, 0.25).weights)
    assert not torch.equal(dense, source(seed=1).weights)


def test_counts_are_exact_per_layer() -> None:
    made, budget = source(0.3, 0.2), freeze(SHAPES, 0.3, 0.2, "erk", "joint")
    for index, layer in enumerate(LAYERS):
        roles = made.roles[layer.start : layer.stop]
        assert int((roles == PRUNED).sum()) == budget.pruned[index]
        assert int((roles == LOCKED).sum()) == budget.locked[index]
    assert made.count(PRUNED) == round(0.3 * N) and made.count(LOCKED) == round(0.2 * N)


def test_pruning_more_only_adds() -> None:
    less, more = source(0.3).roles == PRUNED, source(0.6).roles == PRUNED
    assert torch.equal(less & more, less)


@pytest.mark.parametrize("init", ["kaiming_uniform", "kaiming_normal", "signed_kaiming_constant"])
def test_inits_have_the_standard_deviation_of_he(init: str) -> None:
    made, layer = source(init=init), LAYERS[3]
    weights = made.weights[layer.start : layer.stop]
    assert float(weights.std()) == pytest.approx(np.sqrt(2 / layer.fan_in), rel=0.05)
    if init == "signed_kaiming_constant":
        assert weights.abs().unique().numel() == 1


def test_scores_of_shared_edges_are_the_same_in_every_source() -> None:
    dense, frozen = source(), source(0.25, 0.25)
    free = frozen.roles == FREE
    assert torch.equal(initial_scores(dense, 0)[free], initial_scores(frozen, 0))
    assert torch.equal(uniform_scores(dense, 0)[free], uniform_scores(frozen, 0))


WEIGHTS = "814315c8f2c25494"
ROLES = "40fcb8a3c6a6f675"
