"""A pass: one epoch's way over the training images, and how far it has come."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from slt_bench.compute.world import Processes


@dataclass
class Pass:
    """Sums of an epoch under way; every process has its own shards' part of them."""

    losses: Tensor  # float64[steps, shards]: mean loss of each shard of each batch
    correct: Tensor  # hits so far, int64[]
    step: int = 0  # done
    earlier: float = 0.0  # seconds, before it was interrupted
    began: float = field(default_factory=time.perf_counter)

    @classmethod
    def begin(cls, steps: int, shards: int, device: torch.device) -> Pass:
        """At its beginning."""
        losses = torch.zeros(steps, shards, dtype=torch.float64, device=device)
        return cls(losses, torch.zeros((), dtype=torch.long, device=device))

    @property
    def seconds(self) -> float:
        """That it has taken so far, interruptions left out."""
        return self.earlier + time.perf_counter() - self.began

    @property
    def steps(self) -> int:
        """In the whole epoch."""
        return len(self.losses)

    def add(self, shard: int, loss: Tensor, correct: Tensor) -> None:
        """Take note of one shard of the batch under way."""
        self.losses[self.step, shard] = loss
        self.correct += correct

    def summed(self, processes: Processes) -> tuple[float, int]:
        """Mean loss and hits over all processes; the order of the sum does not depend on their number."""
        return float(processes.total(self.losses).mean()), int(processes.total(self.correct))

    def state(self, processes: Processes) -> dict[str, Any]:
        """The same in every process."""
        return {
            "losses": processes.total(self.losses), "correct": processes.total(self.correct), "step": self.step,
            "seconds": self.seconds,
        }  # fmt: skip

    @classmethod
    def resume(cls, state: dict[str, Any], processes: Processes, device: torch.device) -> Pass:
        """Take over what `state` gave: the first process holds what all had done."""
        losses, correct = state["losses"].to(device), state["correct"].to(device)
        mine = 1 if processes.first else 0
        return cls(losses * mine, correct * mine, state["step"], state["seconds"])
