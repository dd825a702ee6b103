"""Schedules: the place of each epoch among the phases of a search, and the learning rate of each step."""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, pi

from slt_bench.params.recipes import Recipe
from slt_bench.params.searches import Phase


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
    """Compute the learning rate of a step in a phase: linear warm-up, then half a cosine down to zero over its sweep.

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
    epochs = phase.epochs_before + phase.epochs + phase.epochs_after
    step, steps = (phase.epochs_before * steps_per_epoch + step) // unit, epochs * steps_per_epoch // unit
    warm = recipe.warmup_epochs * steps_per_epoch // unit if phase.warmup else 0
    if step < warm:
        return recipe.learning_rate * (step + 1) / warm
    return recipe.learning_rate * 0.5 * (1 + cos(pi * (step - warm) / (steps - warm)))
