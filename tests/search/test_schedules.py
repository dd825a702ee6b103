"""Law 7: edge-popup and its relatives as lists of phases; the learning rate at both ends; the optimizer."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from slt_bench.experiment.load import load_experiments
from slt_bench.params.recipes import Recipe
from slt_bench.params.searches import Phase, Search
from slt_bench.search.methods.edge_popup import EdgePopup, iterations_at
from slt_bench.search.methods.iterative_edge_popup import IterativeEdgePopup
from slt_bench.search.methods.random_mask import RandomMask
from slt_bench.search.methods.weight_training import WeightTraining
from slt_bench.search.schedules import Schedule, learning_rate
from slt_bench.search.steps.optimizer import Sgd

ROOT = Path(__file__).parent.parent.parent
RECIPE = Recipe(epochs=10, batch_size=8, learning_rate=0.1)


def iep(**more: Any) -> IterativeEdgePopup:
    return IterativeEdgePopup(kind="iterative-edge-popup", **{"iterations": 4, **more})


def schedule_of(search: Search, recipe: Recipe, start: float, target: float) -> Schedule:
    return Schedule(search.phases(recipe, start, target))


def test_edge_popup_is_one_phase() -> None:
    assert EdgePopup(kind="edge-popup").phases(RECIPE, 0.0, 0.5) == (Phase(10, 0.5),)


def test_iterative_edge_popup_follows_the_papers_rates() -> None:
    """Pruning rates 1 - 0.8^i: 0.200, 0.360, 0.488, 0.590, 0.672, 0.738, 0.790, 0.832."""
    phases = iep(iterations=8).phases(RECIPE, 0.0, 1 - 0.8**8)
    expected = [0.200, 0.360, 0.488, 0.590, 0.672, 0.738, 0.790, 0.832]
    assert [phase.sparsity for phase in phases] == pytest.approx(expected, abs=5e-4)


def test_iterations_start_from_what_is_pruned_and_end_exactly_at_the_target() -> None:
    phases = iep().phases(RECIPE, 0.5, 0.9)
    rising = [phase.sparsity for phase in phases]
    assert rising[0] > 0.5 and rising == sorted(rising) and rising[-1] == 0.9
    assert iep(iterations=None, sparsities=[0.3, 0.5, 0.9]).phases(RECIPE, 0.0, 0.9)[1].sparsity == 0.5
    linear = iep(rule="linear").phases(RECIPE, 0.1, 0.5)
    assert [phase.sparsity for phase in linear] == pytest.approx([0.2, 0.3, 0.4, 0.5])


@pytest.mark.parametrize(
    ("sparsity", "count"), [(0.2, 1), (0.36, 2), (0.488, 3), (0.59, 4), (0.672, 5), (0.738, 6), (0.79, 7), (0.832, 8)]
)
def test_as_many_iterations_as_the_papers_rates_need(sparsity: float, count: int) -> None:
    """Iwasawa et al.: 1 - 0.8^i; the published rates are rounded."""
    search = IterativeEdgePopup(kind="iterative-edge-popup", keep=0.8, epochs="per_iteration")
    recipe = Recipe(epochs=10, batch_size=2, learning_rate=0.1)
    phases = search.phases(recipe, 0.0, sparsity)
    assert [phase.sparsity for phase in phases] == pytest.approx([1 - 0.8**i for i in range(1, count + 1)], abs=6e-4)
    assert phases[-1].sparsity == sparsity
    long = schedule_of(EdgePopup(kind="edge-popup", keep=0.8), recipe, 0.0, sparsity)
    assert long.epochs == sum(phase.epochs for phase in phases) == 10 * count and len(long.phases) == 1


def test_iterations_inside_a_pruned_source_are_counted_from_what_it_leaves() -> None:
    search = IterativeEdgePopup(kind="iterative-edge-popup", keep=0.8)
    phases = search.phases(Recipe(epochs=10, batch_size=2, learning_rate=0.1), 0.5, 0.68)
    assert [phase.sparsity for phase in phases] == pytest.approx([0.6, 0.68])


@pytest.mark.parametrize("epochs", [4, 7, 10, 11])
def test_equal_total_epochs(epochs: int) -> None:
    recipe = RECIPE.model_copy(update={"epochs": epochs})
    shares = [phase.epochs for phase in iep().phases(recipe, 0.0, 0.5)]
    assert sum(shares) == epochs and max(shares) - min(shares) <= 1
    assert schedule_of(iep(epochs="per_iteration"), recipe, 0.0, 0.5).epochs == 4 * epochs


def test_edge_popup_as_long_as_all_iterations() -> None:
    long = EdgePopup(kind="edge-popup", length=4)
    assert schedule_of(long, RECIPE, 0.0, 0.5).epochs == schedule_of(iep(epochs="per_iteration"), RECIPE, 0.0, 0.5).epochs


def test_what_happens_as_an_iteration_begins() -> None:
    first, second, *_ = iep().phases(RECIPE, 0.0, 0.5)
    assert second == Phase(second.epochs, second.sparsity) and first.warmup  # soft: all carries over
    hard = iep(space="hard", scores="rewound", momentum="reset", warmup="first")
    first, second, *_ = hard.phases(RECIPE, 0.0, 0.5)
    assert first == Phase(first.epochs, first.sparsity)
    assert second == Phase(second.epochs, second.sparsity, False, "rewound", inside_last_mask=True, reset_momentum=True)


def test_full_sparsity_is_reached() -> None:
    assert iep().phases(RECIPE, 0.0, 1.0)[-1].sparsity == 1.0
    assert iep().phases(RECIPE, 1.0, 1.0)[0].sparsity == 1.0


def test_the_controls_are_one_phase() -> None:
    assert WeightTraining(kind="weight-training").phases(RECIPE, 0.3, 0.3) == (Phase(10, 0.3),)
    assert RandomMask(kind="random-mask").phases(RECIPE, 0.0, 0.3) == (Phase(5, 0.3),)  # of 10: nothing is learned
    assert RandomMask(kind="random-mask").phases(RECIPE.model_copy(update={"epochs": 3}), 0.0, 0.3) == (Phase(3, 0.3),)


def test_epochs_find_their_phase() -> None:
    schedule = schedule_of(iep(), RECIPE, 0.0, 0.5)
    positions = [schedule.at(epoch) for epoch in range(schedule.epochs)]
    expected = [(number, epoch) for number, phase in enumerate(schedule.phases) for epoch in range(phase.epochs)]
    assert [(position.phase_number, position.phase_epoch) for position in positions] == expected
    assert all(position.phase == schedule.phases[position.phase_number] for position in positions)
    for outside in (-1, schedule.epochs):
        with pytest.raises(IndexError):
            schedule.at(outside)


def test_learning_rate_is_a_cosine_from_full_to_zero() -> None:
    phase = Phase(10, 0.5)
    assert learning_rate(RECIPE, phase, 0, 10) == 0.1
    assert learning_rate(RECIPE, phase, 50, 10) == pytest.approx(0.05)
    assert 0 < learning_rate(RECIPE, phase, 99, 10) < 1e-4
    assert learning_rate(RECIPE, phase, 100, 10) == 0.0


def test_warm_up_is_linear_and_meets_the_cosine() -> None:
    recipe, phase = RECIPE.model_copy(update={"warmup_epochs": 2}), Phase(10, 0.5)
    assert learning_rate(recipe, phase, 0, 10) == pytest.approx(0.1 / 20)
    assert learning_rate(recipe, phase, 19, 10) == learning_rate(recipe, phase, 20, 10) == 0.1
    assert learning_rate(recipe, phase, 100, 10) == 0.0
    assert learning_rate(recipe, Phase(10, 0.5, warmup=False), 0, 10) == 0.1


PUBLISHED = {name: recipe for name, recipe in load_experiments(ROOT / "params.yaml").params.recipes.items()
             if name.startswith(("otsuka-", "ramanujan-")) and not name.endswith("-small")}  # fmt: skip


def test_the_published_recipes_at_both_ends() -> None:
    for name, peak, warm in (("otsuka-cifar10", 0.1, 0), ("otsuka-imagenet", 0.1, 0), ("ramanujan-imagenet", 0.256, 5)):
        recipe = PUBLISHED[name]
        phase, steps = Phase(recipe.epochs, 0.5), 7
        unit = 1 if recipe.learning_rate_changes == "every_step" else steps
        assert learning_rate(recipe, phase, 0, steps) == pytest.approx(peak / max(1, warm * steps // unit))
        assert learning_rate(recipe, phase, warm * steps, steps) == peak
        half = (warm + recipe.epochs) * steps / 2
        assert learning_rate(recipe, phase, int(half), steps) == pytest.approx(peak / 2, rel=0.02)
        assert 0 < learning_rate(recipe, phase, recipe.epochs * steps - 1, steps) < 3e-4 * peak


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_recipe_names_every_value(name: str) -> None:
    left_to_defaults = set(Recipe.model_fields) - PUBLISHED[name].model_fields_set
    no_matter = {"score_init"} if name.endswith("training") else set()
    assert left_to_defaults == {"compile"} | no_matter  # which change no result


def test_the_learning_rate_may_change_every_epoch_as_in_edge_popups_own_code() -> None:
    recipe = RECIPE.model_copy(update={"learning_rate_changes": "every_epoch", "warmup_epochs": 3})
    phase, steps = Phase(10, 0.5), 7
    for epoch in range(10):
        rate = 0.1 * (epoch + 1) / 3 if epoch < 3 else 0.1 * 0.5 * (1 + np.cos(np.pi * (epoch - 3) / 7))
        (found,) = {learning_rate(recipe, phase, epoch * steps + step, steps) for step in range(steps)}
        assert found == pytest.approx(rate)


def test_sgd_is_torchs_sgd() -> None:
    start, generator = torch.randn(1000), torch.Generator().manual_seed(0)
    ours, theirs = start.clone(), torch.nn.Parameter(start.clone())
    optimizer, reference = Sgd(ours, 0.9, 1e-4), torch.optim.SGD([theirs], lr=0.0, momentum=0.9, weight_decay=1e-4)
    for rate in (0.1, 0.05, 0.3, 0.0):
        gradient = torch.randn(1000, generator=generator)
        theirs.grad = gradient.clone()
        reference.param_groups[0]["lr"] = rate
        optimizer.step(gradient, rate)
        reference.step()
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize(("target", "iterations"), [(0.999, 31), (0.9995, 34), (0.9999, 41), (1.0, 31)])
def test_as_many_iterations_as_the_sparsity_needs_however_high_it_is(target: float, iterations: int) -> None:
    """Of 1 alone, which is never reached, those that go 0.999 of the way."""
    assert (
        iterations_at(0.8, 0.0, target)
        == iterations
        == round(np.log(max(1 - target, 1e-4 if target < 1 else 1e-3)) / np.log(0.8))
    )


def test_iterations_are_the_nearest_in_the_logarithm_of_density() -> None:
    assert iterations_at(0.5, 0.0, 0.64) == 1, "0.36 is 0.72 of 0.5, and 1.44 times 0.25"
