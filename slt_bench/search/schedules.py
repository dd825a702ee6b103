"""Schedules: what a search does over its epochs, as a list of phases. Edge-popup and its relatives differ here alone."""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, pi
from typing import Literal

from slt_bench.params.recipes import Recipe
from slt_bench.params.searches import IterativeEdgePopup, Learned, Search, iterations_at


@dataclass(frozen=True)
class Phase:
    """A run of epochs at one sparsity with one sweep of the learning rate, and what happens as it begins."""

    epochs: int
    sparsity: float  # share of all N edges that are zero
    warmup: bool = True  # begin with the recipe's warm-up
    scores: Literal["carried", "redrawn", "rewound"] = "carried"
    inside_last_mask: bool = False  # hard: what the phase before dropped is closed
    reset_momentum: bool = False


@dataclass(frozen=True)
class Schedule:
    """What is learned, and the phases in which."""

    learned: Learned
    phases: tuple[Phase, ...]

    @property
    def epochs(self) -> int:
        """Epochs in all."""
        return sum(phase.epochs for phase in self.phases)

    def at(self, epoch: int) -> tuple[int, int]:
        """The number of an epoch's phase, and the epoch's number inside it, all from 0."""
        for number, phase in enumerate(self.phases):
            if epoch < phase.epochs:
                return number, epoch
            epoch -= phase.epochs
        raise IndexError("epoch beyond the schedule")


def make_schedule(search: Search, recipe: Recipe, prune_ratio: float, sparsity: float) -> Schedule:
    """The schedule of a search at its final sparsity, inside a source with that prune ratio."""
    match search.kind:
        case "edge-popup":
            length = iterations_at(search.keep, prune_ratio, sparsity) if search.keep else search.length
            return Schedule("scores", (Phase(recipe.epochs * length, sparsity),))
        case "iterative-edge-popup":
            return Schedule("scores", _iterations(search, recipe.epochs, prune_ratio, sparsity))
        case "weight-training":
            return Schedule("weights", (Phase(recipe.epochs, prune_ratio),))
        case "random-mask":
            return Schedule("nothing", (Phase(recipe.epochs, sparsity),))


def _iterations(search: IterativeEdgePopup, epochs: int, start: float, target: float) -> tuple[Phase, ...]:
    """iEP (Iwasawa et al. 2023): soft keeps every edge in play, hard those of the last mask alone."""
    phases, n = [], search.count(start, target)
    for i, sparsity in enumerate(_sparsities(search, n, start, target), start=1):
        later = i > 1
        phases.append(
            Phase(
                epochs=epochs * i // n - epochs * (i - 1) // n if search.epochs == "total" else epochs,
                sparsity=sparsity,
                warmup=search.warmup == "every" or not later,
                scores=search.scores if later else "carried",
                inside_last_mask=search.space == "hard" and later,
                reset_momentum=search.momentum == "reset" and later,
            )
        )
    return tuple(phases)


def _sparsities(search: IterativeEdgePopup, n: int, start: float, target: float) -> list[float]:
    """Geometric is 1 - s_i = (1-p) ((1-s)/(1-p))^(i/n); at p = 0 that is s_i = 1 - (1-q)^i. The last one is exact."""
    if search.sparsities is not None:
        return search.sparsities
    steps = [i / n for i in range(1, n)]
    if search.rule == "linear":
        return [start + (target - start) * step for step in steps] + [target]
    if start >= 1:
        return [1.0] * n
    return [1 - (1 - start) * ((1 - target) / (1 - start)) ** step for step in steps] + [target]


def learning_rate(recipe: Recipe, phase: Phase, step: int, steps_per_epoch: int) -> float:
    """The learning rate of a step (from 0) in a phase: linear warm-up, then half a cosine down to zero.

    It starts at its full value (or at 1 / warm-up steps of it) and would reach 0 at the step after the last. Where the
    recipe changes it every epoch, all steps of an epoch have the rate of the first (Ramanujan et al. 2020, their code), and
    the warm-up rises by a whole 1 / warm-up epochs.
    """
    unit = steps_per_epoch if recipe.learning_rate_changes == "every_epoch" else 1
    step, steps = step // unit, phase.epochs * steps_per_epoch // unit
    warm = recipe.warmup_epochs * steps_per_epoch // unit if phase.warmup else 0
    if step < warm:
        return recipe.learning_rate * (step + 1) / warm
    return recipe.learning_rate * 0.5 * (1 + cos(pi * (step - warm) / (steps - warm)))
