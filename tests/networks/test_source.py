"""Law 5: one seed, one set of weights, whatever the roles; roles are exact and nested."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from slt_bench.common import random
from slt_bench.networks import registry
from slt_bench.networks.budget import freeze
from slt_bench.networks.roles import FREE, LOCKED, PRUNED, random_roles, roles_from_ticket
from slt_bench.networks.source import SourceNetwork, initial_scores, make_source, uniform_scores
from slt_bench.params.recipes import ScoreInit, WeightInit

LAYERS = registry.searchable_layers(registry.build("conv4", 0.25, 16, 10))
SHAPES = [layer.shape for layer in LAYERS]
N = LAYERS[-1].stop


def source(p: float = 0.0, lock: float = 0.0, seed: int = 0, init: WeightInit = "kaiming_uniform") -> SourceNetwork:
    return make_source(LAYERS, seed, init, random_roles(seed, freeze(SHAPES, p, lock, "erk", "joint")))


def test_known_answer() -> None:
    drawn = source(0.3, 0.2, seed=7)
    assert hashlib.sha256(drawn.weights.numpy().tobytes()).hexdigest()[:16] == WEIGHTS
    assert hashlib.sha256(drawn.roles.numpy().tobytes()).hexdigest()[:16] == ROLES


@pytest.mark.parametrize(
    ("init", "digest"),
    [
        ("kaiming_normal", "b3cb7bc377c8d15f"),
        ("signed_kaiming_constant", "55d478b8c1903710"),
        ("kaiming_uniform", "814315c8f2c25494"),
    ],
)
def test_known_answers_of_every_weight_init(init: WeightInit, digest: str) -> None:
    assert hashlib.sha256(source(seed=7, init=init).weights.numpy().tobytes()).hexdigest()[:16] == digest


def test_every_kind_of_source_has_the_same_weights() -> None:
    dense = source().weights
    assert torch.equal(dense, source(0.5).weights)
    assert torch.equal(dense, source(0.25, 0.25).weights)
    assert not torch.equal(dense, source(seed=1).weights)


def test_counts_are_exact_per_layer() -> None:
    drawn, budget = source(0.3, 0.2), freeze(SHAPES, 0.3, 0.2, "erk", "joint")
    for index, layer in enumerate(LAYERS):
        roles = drawn.roles[layer.start : layer.stop]
        assert int((roles == PRUNED).sum()) == budget.pruned[index]
        assert int((roles == LOCKED).sum()) == budget.locked[index]
    assert drawn.count(PRUNED) == round(0.3 * N) and drawn.count(LOCKED) == round(0.2 * N)


def test_pruning_more_only_adds() -> None:
    less, more = source(0.3).roles == PRUNED, source(0.6).roles == PRUNED
    assert torch.equal(less & more, less)


@pytest.mark.parametrize("init", ["kaiming_uniform", "kaiming_normal", "signed_kaiming_constant"])
def test_inits_have_the_standard_deviation_of_he(init: WeightInit) -> None:
    drawn, layer = source(init=init), LAYERS[3]
    weights = drawn.weights[layer.start : layer.stop]
    assert float(weights.std()) == pytest.approx(np.sqrt(2 / layer.fan_in), rel=0.05)
    if init == "signed_kaiming_constant":
        assert weights.abs().unique().numel() == 1


def test_scores_of_shared_edges_are_the_same_in_every_source() -> None:
    dense, frozen = source(), source(0.25, 0.25)
    free = frozen.roles == FREE
    assert torch.equal(initial_scores(dense, 0)[free], initial_scores(frozen, 0))
    assert torch.equal(uniform_scores(dense, 0)[free], uniform_scores(frozen, 0))


@pytest.mark.parametrize(
    ("init", "deviation", "largest"),
    [("kaiming_normal", 2**0.5, 6.5), ("kaiming_uniform", 3**-0.5, 1.0), ("constant", 0.0, 2**0.5)],
)
def test_score_inits(init: ScoreInit, deviation: float, largest: float) -> None:
    """In units of 1 / sqrt(fan_in): Kaiming normal sqrt 2; uniform with a = sqrt 5 within 1; constant sqrt 2."""
    layer, scores = LAYERS[4], initial_scores(source(), 0, init)
    part = scores[layer.start : layer.stop] * layer.fan_in**0.5
    assert float(part.std()) == pytest.approx(deviation, rel=0.03, abs=1e-6)
    assert float(part.abs().max()) == pytest.approx(largest, rel=0.35 if init == "kaiming_normal" else 0.001)


def test_scores_drawn_again_are_new() -> None:
    draws = [initial_scores(source(), 0, "kaiming_normal", draw) for draw in range(3)]
    for one, other in ((0, 1), (1, 2), (0, 2)):
        assert abs(float(torch.corrcoef(torch.stack([draws[one], draws[other]]))[0, 1])) < 0.02
    assert hashlib.sha256(draws[1].numpy().tobytes()).hexdigest()[:16] == NEW_SCORES


@given(st.floats(0, 1), st.floats(0, 1), st.booleans())
@settings(max_examples=50, deadline=None)
def test_roles_from_a_ticket_never_contradict_it(prune: float, lock: float, shuffled: bool) -> None:
    kept = torch.from_numpy(random.uniform(1, "roles", 0, N) < 0.3)
    pruned, locked = int(prune * int((~kept).sum())), int(lock * int(kept.sum()))
    sizes = [layer.size for layer in LAYERS]
    roles = roles_from_ticket(kept, sizes, 0, pruned, locked, shuffled)
    assert int((roles == PRUNED).sum()) == pruned and int((roles == LOCKED).sum()) == locked
    if not shuffled:
        assert not kept[roles == PRUNED].any() and kept[roles == LOCKED].all()


def test_a_shuffled_ticket_keeps_its_density_in_every_layer() -> None:
    kept = torch.from_numpy(random.uniform(1, "roles", 0, N) < 0.3)
    kept[: LAYERS[0].stop] = True
    total = int(kept.sum())
    roles = roles_from_ticket(kept, [layer.size for layer in LAYERS], 0, N - total, total, True)
    assert not torch.equal(roles == LOCKED, kept)
    for layer in LAYERS:
        part = slice(layer.start, layer.stop)
        assert int((roles[part] == LOCKED).sum()) == int(kept[part].sum())


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("random_mask", [False, True])
def test_scores_inside_a_ticket_know_nothing_of_it(number: int, random_mask: bool) -> None:
    """The parent's search had the scores of the same seed, and its ticket keeps mostly the largest of them."""

    def draw(source: SourceNetwork) -> torch.Tensor:
        return uniform_scores(source, 0) if random_mask else initial_scores(source, 0, draw=number).abs()

    scores = initial_scores(source(), 0, draw=number).abs()
    kept = torch.cat([each >= each.median() for each in scores.split([layer.size for layer in LAYERS])])
    roles = roles_from_ticket(kept, [layer.size for layer in LAYERS], 0, N // 4, N // 4, False)
    inside = replace(make_source(LAYERS, 0, "kaiming_uniform", roles), is_of_ticket=True)
    in_ticket = kept[roles == FREE].float()
    largest = draw(inside).topk(len(in_ticket) // 5).indices
    assert abs(in_ticket[largest].mean() - in_ticket.mean()) < 0.05
    assert inside.to("cpu").is_of_ticket and not source(0.5).is_of_ticket


WEIGHTS = "814315c8f2c25494"
ROLES = "40fcb8a3c6a6f675"
NEW_SCORES = "49cd15213528d868"
