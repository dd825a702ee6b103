"""Micro-batches: the equal parts of a batch, each with batch-norm statistics of its own, as on one device of several.

The rule: each micro-batch is normalised by itself; the gradient of the batch is the mean of theirs, added up pairwise; each
position in the batch has running statistics of its own, and the mean of these is taken at the end of every epoch. With one
micro-batch that is what one device does; with more, it does not matter how many processes share them.

A recipe calls them `shards`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from slt_bench.compute.world import World
from slt_bench.networks.registry import batch_norm_statistics, set_batch_norm_statistics


class MicrobatchStatistics:
    """The running batch-norm statistics of all micro-batches, of which each process holds those of its own."""

    def __init__(self, module: nn.Module, count: int, world: World, device: torch.device) -> None:
        """Start every micro-batch from the statistics of the module.

        Args:
            module: whose batch norms they are; it moves to the device.
            count: micro-batches of a batch, over all processes: a power of two.
            world: the processes that share them.
            device: where the module lives.
        """
        self.world, self.count = world, count
        self.local = range(count * world.rank // world.size, count * (world.rank + 1) // world.size)
        mean, var = (statistics.to(device) for statistics in batch_norm_statistics(module))
        self._module_statistics = set_batch_norm_statistics(module, mean, var)
        self._statistics = [torch.cat(self._module_statistics) for _ in self.local]  # means, then variances; they stay there

    def enter(self, microbatch: int) -> None:
        """Let the module use and update the statistics of one of this process's micro-batches."""
        if self.count > 1:
            self._use(self._statistics[microbatch - self.local.start])

    def leave(self, microbatch: int) -> None:
        """Keep the module's statistics as those of a micro-batch, after its forward pass."""
        if self.count > 1:
            torch.cat(self._module_statistics, out=self._statistics[microbatch - self.local.start])

    def reset(self) -> None:
        """Start every micro-batch of this process from means of 0 and variances of 1."""
        mean, var = self._module_statistics
        mean.zero_()
        var.fill_(1.0)
        for statistics in self._statistics:
            torch.cat(self._module_statistics, out=statistics)

    def merge(self) -> None:
        """Give all micro-batches, and the module, the mean of their statistics."""
        if self.count > 1:
            of_all = self.world.collect(self._statistics)
            # As a tree: of equal statistics it gives exactly these, so that an epoch may end twice.
            mean = tree_sum(range(self.count), lambda microbatch: of_all[microbatch].clone()).div_(self.count)
            self.load([mean] * self.count)

    def state(self) -> list[Tensor]:
        """Give the statistics of all micro-batches, the same in every process."""
        if self.count == 1:
            return [torch.cat(self._module_statistics)]
        return self.world.collect(self._statistics)

    def load(self, state: list[Tensor]) -> None:
        """Take over what `state` gave; the module gets the statistics of this process's first micro-batch.

        Args:
            state: float32[2 * channels] for each micro-batch: means, then variances.
        """
        for statistics, microbatch in zip(self._statistics, self.local, strict=True):
            statistics.copy_(state[microbatch])
        self._use(self._statistics[0])

    def _use(self, statistics: Tensor) -> None:
        mean, var = self._module_statistics
        mean.copy_(statistics[: mean.numel()])
        var.copy_(statistics[mean.numel() :])


def tree_sum(microbatches: range, of_microbatch: Callable[[int], Tensor]) -> Tensor:
    """Add up one tensor for each micro-batch as a binary tree, halves first.

    Args:
        microbatches: their positions, a power of two of them.
        of_microbatch: computes the tensor of a micro-batch; may return the same memory each time.

    Returns:
        The sum, in memory that may be that of the last tensor.
    """
    if len(microbatches) == 1:
        return of_microbatch(microbatches[0])
    middle = len(microbatches) // 2
    left = tree_sum(microbatches[:middle], of_microbatch).clone()
    return tree_sum(microbatches[middle:], of_microbatch).add_(left)
