"""Law 7: edge-popup and its relatives as lists of phases; the learning rate at both ends; the optimizer."""

import pytest
import torch

from slt_bench.optimizer import Sgd
from slt_bench.params import EdgePopup, IterativeEdgePopup, RandomMask, Recipe, WeightTraining
from slt_bench.schedules import Phase, learning_rate, make_schedule

RECIPE = Recipe(epochs=10, batch_size=8, learning_rate=0.1)


def iep(**more: object) -> IterativeEdgePopup:
    return IterativeEdgePopup(kind="iterative-edge-popup", **{"iterations": 4, **more})


def test_edge_popup_is_one_phase() -> None:
    assert make_schedule(EdgePopup(kind="edge-popup"), RECIPE, 0.0, 0.5).phases == (Phase(10, 0.5),)


def test_iterative_edge_popup_follows_the_papers_rates() -> None:
    """Pruning rates 1 - 0.8^i: 0.200, 0.360, 0.488, 0.590, 0.672, 0.738, 0.790, 0.832."""
    phases = make_schedule(iep(iterations=8), RECIPE, 0.0, 1 - 0.8**8).phases
    expected = [0.200, 0.360, 0.488, 0.590, 0.672, 0.738, 0.790, 0.832]
    assert [phase.sparsity for phase in phases] == pytest.approx(expected, abs=5e-4)


def test_iterations_start_from_what_is_pruned_and_end_exactly_at_the_target() -> None:
    phases = make_schedule(iep(), RECIPE, 0.5, 0.9).phases
    rising = [phase.sparsity for phase in phases]
    assert rising[0] > 0.5 and rising == sorted(rising) and rising[-1] == 0.9
    linear = make_schedule(iep(rule="linear"), RECIPE, 0.1, 0.5).phases
    assert [phase.sparsity for phase in linear] == pytest.approx([0.2, 0.3, 0.4, 0.5])


@pytest.mark.parametrize("epochs", [4, 7, 10, 11])
def test_equal_total_epochs(epochs: int) -> None:
    recipe = RECIPE.model_copy(update={"epochs": epochs})
    shares = [phase.epochs for phase in make_schedule(iep(), recipe, 0.0, 0.5).phases]
    assert sum(shares) == epochs and max(shares) - min(shares) <= 1
    assert make_schedule(iep(epochs="per_iteration"), recipe, 0.0, 0.5).epochs == 4 * epochs


def test_full_sparsity_is_reached() -> None:
    assert make_schedule(iep(), RECIPE, 0.0, 1.0).phases[-1].sparsity == 1.0
    assert make_schedule(iep(), RECIPE, 1.0, 1.0).phases[0].sparsity == 1.0


def test_what_is_learned() -> None:
    assert make_schedule(WeightTraining(kind="weight-training"), RECIPE, 0.3, 0.3).learned == "weights"
    assert make_schedule(RandomMask(kind="random-mask"), RECIPE, 0.0, 0.3).learned == "nothing"


def test_epochs_find_their_phase() -> None:
    schedule = make_schedule(iep(), RECIPE, 0.0, 0.5)
    places = [schedule.at(epoch) for epoch in range(schedule.epochs)]
    assert [phase for phase, _ in places] == [phase for phase in schedule.phases for _ in range(phase.epochs)]
    assert places[0][1] == 0 and places[-1][1] == schedule.phases[-1].epochs - 1
    with pytest.raises(IndexError):
        schedule.at(schedule.epochs)


def test_learning_rate_is_a_cosine_from_full_to_zero() -> None:
    assert learning_rate(RECIPE, 0, 100, 10) == 0.1
    assert learning_rate(RECIPE, 50, 100, 10) == pytest.approx(0.05)
    assert 0 < learning_rate(RECIPE, 99, 100, 10) < 1e-4
    assert learning_rate(RECIPE, 100, 100, 10) == 0.0


def test_warm_up_is_linear_and_meets_the_cosine() -> None:
    recipe = RECIPE.model_copy(update={"warmup_epochs": 2})
    assert learning_rate(recipe, 0, 100, 10) == pytest.approx(0.1 / 20)
    assert learning_rate(recipe, 19, 100, 10) == learning_rate(recipe, 20, 100, 10) == 0.1
    assert learning_rate(recipe, 100, 100, 10) == 0.0


def test_sgd_is_torchs_sgd() -> None:
    start, generator = torch.randn(1000), torch.Generator().manual_seed(0)
    ours, theirs = torch.nn.Parameter(start.clone()), torch.nn.Parameter(start.clone())
    optimizer, reference = Sgd(ours, 0.9, 1e-4), torch.optim.SGD([theirs], lr=0.0, momentum=0.9, weight_decay=1e-4)
    for rate in (0.1, 0.05, 0.3, 0.0):
        gradient = torch.randn(1000, generator=generator)
        ours.grad, theirs.grad = gradient.clone(), gradient.clone()
        reference.param_groups[0]["lr"] = rate
        optimizer.step(rate)
        reference.step()
        assert torch.equal(ours, theirs)
