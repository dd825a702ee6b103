"""Stochastic gradient descent on one vector."""

from __future__ import annotations

import torch
from torch import Tensor


class Sgd:
    """SGD with momentum and weight decay, step for step what `torch.optim.SGD` does to a single tensor.

    Ours because torch's optimizers load its compiler when they are made (1.5 s a process), and because the state of the
    search is then visibly one vector beside the scores.

    Args:
        vector: float32[n], changed in place.
        momentum, weight_decay: as in torch.optim.SGD; dampening is 0, no Nesterov.
    """

    def __init__(self, vector: Tensor, momentum: float, weight_decay: float) -> None:
        self.vector, self.momentum, self.weight_decay = vector, momentum, weight_decay
        self.velocity = torch.zeros_like(vector)

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        """Move the vector against its gradient, which is used up."""
        gradient = self.vector.grad
        assert gradient is not None, "step before backward"
        gradient.add_(self.vector, alpha=self.weight_decay)
        self.velocity.mul_(self.momentum).add_(gradient)
        self.vector.add_(self.velocity, alpha=-learning_rate)
        self.vector.grad = None
