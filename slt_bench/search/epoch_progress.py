"""The progress of the epoch under way: its losses and hits, its steps and its time."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from slt_bench.compute.world import World


@dataclass
class EpochProgress:
    """Sums over an epoch under way; every process has those of its own micro-batches."""

    losses: Tensor  # float64[steps, micro-batches]: mean loss of each micro-batch
    correct: Tensor  # int64[]: training images classified correctly so far
    steps_done: int = 0
    seconds_before: float = 0.0  # spent in the epoch before an interruption
    resumed_at: float = field(default_factory=time.perf_counter)

    @classmethod
    def begin(cls, steps: int, microbatches: int, device: torch.device) -> EpochProgress:
        """Begin an epoch.

        Args:
            steps: optimizer steps in the epoch.
            microbatches: of a batch, over all processes.
            device: where losses are computed.

        Returns:
            The progress before the first step.
        """
        losses = torch.zeros(steps, microbatches, dtype=torch.float64, device=device)
        return cls(losses, torch.zeros((), dtype=torch.long, device=device))

    @property
    def seconds(self) -> float:
        """Seconds spent in this epoch, interruptions excluded."""
        return self.seconds_before + time.perf_counter() - self.resumed_at

    @property
    def steps(self) -> int:
        """Optimizer steps in the whole epoch."""
        return len(self.losses)

    def add(self, microbatches: range, losses: Tensor, correct: Tensor) -> None:
        """Record the batch under way; with that its step is done.

        Args:
            microbatches: positions of this process's micro-batches in the batch.
            losses: float64[micro-batches of this process], mean loss of each.
            correct: int64[], how many of their images were classified correctly.
        """
        self.losses[self.steps_done, microbatches.start : microbatches.stop] = losses
        self.correct += correct
        self.steps_done += 1

    def totals(self, world: World) -> tuple[float, int]:
        """Compute mean loss and number of hits over all processes; the order of the sum does not depend on the world size."""
        return float(world.total(self.losses).mean()), int(world.total(self.correct))

    def state(self, world: World) -> dict[str, Any]:
        """Give everything that the rest of the epoch depends on, the same in every process."""
        return {
            "losses": world.total(self.losses), "correct": world.total(self.correct), "steps_done": self.steps_done,
            "seconds": self.seconds,
        }  # fmt: skip

    @classmethod
    def resume(cls, state: dict[str, Any], world: World, device: torch.device) -> EpochProgress:
        """Go on with an epoch; the first process takes over the sums of all.

        Args:
            state: what `state` gave, with any world size.
            world: the processes that go on.
            device: where losses are computed.

        Returns:
            The progress so far.
        """
        share = 1 if world.first else 0
        losses, correct = state["losses"].to(device) * share, state["correct"].to(device) * share
        return cls(losses, correct, state["steps_done"], state["seconds"])
