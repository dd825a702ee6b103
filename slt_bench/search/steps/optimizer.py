"""Stochastic gradient descent on one vector."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from slt_bench.compute.passes import are_compiled, run, torch_fuses


class Sgd:
    """SGD with momentum and weight decay, step for step what `torch.optim.SGD` does to a single tensor.

    Ours because torch's optimizers load its compiler when they are made (1.5 s a process), and because the state of the
    search is then visibly one vector beside the scores.
    """

    def __init__(self, vector: Tensor, momentum: float, weight_decay: float) -> None:
        """Start without momentum.

        Args:
            vector: float32[n], changed in place.
            momentum: as in torch.optim.SGD, with dampening 0 and without Nesterov.
            weight_decay: as in torch.optim.SGD.
        """
        self.vector, self.momentum, self.weight_decay = vector, momentum, weight_decay
        self.velocity = torch.zeros_like(vector)

    def step(self, gradient: Tensor, learning_rate: float | Tensor) -> None:
        """Move the vector against its gradient.

        Args:
            gradient: float32[n]; it is used up.
            learning_rate: at least 0; a float32[] on the vector's device where a step is to be replayed with other rates.
        """
        if not isinstance(learning_rate, Tensor) and are_compiled(self.vector) and torch_fuses():
            from slt_bench.compute.pass_loops import descend

            numbers = (np.float32(number) for number in (learning_rate, self.momentum, self.weight_decay))
            return run(descend, (self.vector, self.velocity, gradient), *numbers)
        gradient.add_(self.vector, alpha=self.weight_decay)
        self.velocity.mul_(self.momentum).add_(gradient)
        if isinstance(learning_rate, Tensor):
            self.vector.addcmul_(self.velocity, learning_rate, value=-1)
        else:
            self.vector.add_(self.velocity, alpha=-learning_rate)

    def state(self) -> dict[str, Tensor]:
        """Give everything that the rest of the search depends on."""
        return {"velocity": self.velocity}

    def load(self, state: dict[str, Tensor]) -> None:
        """Take over what `state` gave.

        Args:
            state: tensors on any device.
        """
        self.velocity.copy_(state["velocity"])
