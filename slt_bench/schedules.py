"""Schedules: what a search does over its epochs, as a list of phases. Edge-popup and its relatives differ here alone."""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, pi
from typing import Literal

from slt_bench.params import IterativeEdgePopup, Recipe, Search

Learned = Literal["scores", "weights", "nothing"]


@dataclass(frozen=True)
class Phase:
    """A run of epochs at one sparsity with one sweep of the learning rate; scores carry over from phase to phase."""

    epochs: int
    sparsity: float  # share of all N edges that are zero


@dataclass(frozen=True)
class Schedule:
    """What is learned, and the phases in which."""

    learned: Learned
    phases: tuple[Phase, ...]

    @property
    def epochs(self) -> int:
        """Epochs in all."""
        return sum(phase.epochs for phase in self.phases)

    def at(self, epoch: int) -> tuple[Phase, int]:
        """The phase of an epoch (from 0), and the epoch's number inside it."""
        for phase in self.phases:
            if epoch < phase.epochs:
                return phase, epoch
            epoch -= phase.epochs
        raise IndexError("epoch beyond the schedule")


def make_schedule(search: Search, recipe: Recipe, prune_ratio: float, sparsity: float) -> Schedule:
    """The schedule of a search at its final sparsity, inside a source with that prune ratio."""
    match search.kind:
        case "edge-popup":
            return Schedule("scores", (Phase(recipe.epochs, sparsity),))
        case "iterative-edge-popup":
            return Schedule("scores", _iterations(search, recipe.epochs, prune_ratio, sparsity))
        case "weight-training":
            return Schedule("weights", (Phase(recipe.epochs, prune_ratio),))
        case "random-mask":
            return Schedule("nothing", (Phase(recipe.epochs, sparsity),))


def _iterations(search: IterativeEdgePopup, epochs: int, start: float, target: float) -> tuple[Phase, ...]:
    """Soft iEP (Iwasawa et al. 2023): geometric is 1 - s_i = (1-p) ((1-s)/(1-p))^(i/n); at p = 0, s_i = 1 - (1-q)^i."""
    n = search.iterations
    phases = []
    for i in range(1, n + 1):
        if i == n:
            sparsity = target
        elif search.rule == "linear":
            sparsity = start + (target - start) * i / n
        else:
            sparsity = 1 - (1 - start) * ((1 - target) / (1 - start)) ** (i / n) if start < 1 else 1.0
        share = epochs * i // n - epochs * (i - 1) // n if search.epochs == "total" else epochs
        phases.append(Phase(share, sparsity))
    return tuple(phases)


def learning_rate(recipe: Recipe, step: int, steps: int, steps_per_epoch: int) -> float:
    """The learning rate of a step (from 0) in a phase of `steps`: linear warm-up, then half a cosine down to zero.

    It starts at its full value (or at 1 / warm-up steps of it) and would reach 0 at step `steps`.
    """
    warm = recipe.warmup_epochs * steps_per_epoch
    if step < warm:
        return recipe.learning_rate * (step + 1) / warm
    return recipe.learning_rate * 0.5 * (1 + cos(pi * (step - warm) / (steps - warm)))
