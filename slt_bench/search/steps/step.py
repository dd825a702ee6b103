"""The step of a search: a batch goes through the network, what is learned moves, and the next mask is chosen."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from slt_bench.search.methods.contract import Method
from slt_bench.search.steps.gradient import BatchGradient
from slt_bench.search.steps.mask_statistics import MaskStatistics
from slt_bench.search.steps.optimizer import Sgd


class Step:
    """One step after another, each the same work on the same memory, so that it may be replayed (`replay`)."""

    def __init__(self, method: Method[Any], gradient: BatchGradient, optimizer: Sgd, masks: MaskStatistics) -> None:
        """Take the parts that a step goes through.

        Args:
            method: the algorithm.
            gradient: of a batch.
            optimizer: of what the algorithm learns.
            masks: sees every mask that is used.
        """
        self.method, self.gradient, self.optimizer, self.masks = method, gradient, optimizer, masks
        # On a GPU the rate lies in memory, where the next step's replaces it.
        self.rate = torch.zeros((), device=method.learned.device) if method.learned.is_cuda else None

    def __call__(self, images: Tensor, labels: Tensor, phase: int, number: int, rate: float) -> None:
        """Do a step; the gradient has its losses and hits then, and the network the next mask and effective weights.

        Args:
            images: float32[images, 3, size, size], this process's part of the batch.
            labels: int64[images], their classes.
            phase: number of the phase, from 0.
            number: of the step in the whole search, from 1.
            rate: learning rate, at least 0; where it lies in memory, `set_rate` has put it there.

        Raises:
            Diverged: a score or the loss is NaN or infinite.
        """
        gradient = self.gradient.of(images, labels)
        if gradient is not None:
            self.method.learn(gradient, rate if self.rate is None else self.rate, self.optimizer)
            self.method.after_step(number)
            self.compose(phase)

    def compose(self, phase: int) -> None:
        """Choose the mask of the next step, and record it.

        Args:
            phase: number of the phase, from 0.

        Raises:
            Diverged: a learned value is NaN or infinite.
        """
        self.masks.see(self.method.compose(phase))

    def set_rate(self, rate: float) -> None:
        """Put the learning rate where a replayed step finds it."""
        if self.rate is not None:
            self.rate.fill_(rate)
