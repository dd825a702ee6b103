"""Schedules: what a search does over its epochs, as a list of phases, and the learning rate inside a phase."""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, pi
from typing import Literal

from slt_bench.params.recipes import Recipe


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
class Position:
    """The place of an epoch in a schedule; all numbers count from 0."""

    epoch: int
    phase: Phase
    phase_number: int
    phase_epoch: int  # the epoch's number inside its phase


@dataclass(frozen=True)
class Schedule:
    """The phases of a search, in their order."""

    phases: tuple[Phase, ...]

    @property
    def epochs(self) -> int:
        """Epochs of all phases together."""
        return sum(phase.epochs for phase in self.phases)

    def at(self, epoch: int) -> Position:
        """Find the phase of an epoch.

        Args:
            epoch: from 0 to `epochs` - 1.

        Returns:
            The position of the epoch.

        Raises:
            IndexError: the schedule has no such epoch.
        """
        phase_epoch = epoch
        for number, phase in enumerate(self.phases):
            if 0 <= phase_epoch < phase.epochs:
                return Position(epoch, phase, number, phase_epoch)
            phase_epoch -= phase.epochs
        raise IndexError("epoch beyond the schedule")

    def is_last_phase(self, number: int) -> bool:
        """Whether a phase is the one whose tickets have the final sparsity."""
        return number == len(self.phases) - 1


def learning_rate(recipe: Recipe, phase: Phase, step: int, steps_per_epoch: int) -> float:
    """Compute the learning rate of a step in a phase: linear warm-up, then half a cosine down to zero.

    It starts at its full value (or at 1 / warm-up steps of it) and would reach 0 at the step after the last. Where the
    recipe changes it every epoch, all steps of an epoch have the rate of the first (Ramanujan et al. 2020, their code), and
    the warm-up rises by a whole 1 / warm-up epochs.

    Args:
        recipe: full learning rate, warm-up, and how often the rate changes.
        phase: its length, and whether it has a warm-up.
        step: of the phase, from 0.
        steps_per_epoch: optimizer steps in an epoch.

    Returns:
        The learning rate, in [0, recipe.learning_rate].
    """
    unit = steps_per_epoch if recipe.learning_rate_changes == "every_epoch" else 1
    step, steps = step // unit, phase.epochs * steps_per_epoch // unit
    warm = recipe.warmup_epochs * steps_per_epoch // unit if phase.warmup else 0
    if step < warm:
        return recipe.learning_rate * (step + 1) / warm
    return recipe.learning_rate * 0.5 * (1 + cos(pi * (step - warm) / (steps - warm)))
