"""Shards: the equal parts of a batch, each with batch-norm statistics of its own, as on one device of several.

The rule: a batch is normalised shard by shard; its gradient is the mean of the shards' gradients, added up pairwise; each
shard position has running statistics of its own, and the mean of these is taken at the end of every epoch. With one shard
that is what one device does; with more, it does not matter how many processes share them.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from slt_bench.compute.world import Processes
from slt_bench.networks.registry import batch_norm_statistics, set_batch_norm_statistics


class ShardStatistics:
    """The running batch-norm statistics of all shards, of which each process has its own to look after.

    Args:
        module: whose batch norms they are.
        shards: of a batch, over all processes.
        processes: the processes that share them.
        device: where the module lives.
    """

    def __init__(self, module: nn.Module, shards: int, processes: Processes, device: torch.device) -> None:
        self.processes, self.count = processes, shards
        self.mine = range(shards * processes.rank // processes.count, shards * (processes.rank + 1) // processes.count)
        mean, var = (each.to(device) for each in batch_norm_statistics(module))
        self._used = set_batch_norm_statistics(module, mean, var)
        self.each = [torch.cat(self._used) for _ in self.mine]  # means, then variances

    def enter(self, shard: int) -> None:
        """From now on the module uses and updates the statistics of this shard."""
        if self.count > 1:
            self._use(self.each[shard - self.mine.start])

    def leave(self, shard: int) -> None:
        """Keep what the module has made of them."""
        if self.count > 1:
            torch.cat(self._used, out=self.each[shard - self.mine.start])

    def merge(self) -> None:
        """Give all shards, and the module, the mean of their statistics."""
        if self.count > 1:
            everyone = self.processes.collect(self.each)
            # As a tree: of equal statistics it gives exactly these, so that a pass may end twice.
            mean = tree_sum(range(self.count), lambda shard: everyone[shard].clone()).div_(self.count)
            self.load([mean] * self.count)

    def state(self) -> list[Tensor]:
        """All shards' statistics."""
        if self.count == 1:
            return [torch.cat(self._used)]
        return self.processes.collect(self.each)

    def load(self, everyone: list[Tensor]) -> None:
        """Take over what `state` gave; the module gets those of this process's first shard."""
        self.each = [everyone[shard].to(self._used[0].device, copy=True) for shard in self.mine]
        self._use(self.each[0])

    def _use(self, statistics: Tensor) -> None:
        channels = self._used[0].numel()
        self._used[0].copy_(statistics[:channels])
        self._used[1].copy_(statistics[channels:])


def tree_sum(shards: range, of_shard: Callable[[int], Tensor]) -> Tensor:
    """The sum over a power of two of shards, halves first; `of_shard` may reuse its memory."""
    if len(shards) == 1:
        return of_shard(shards[0])
    middle = len(shards) // 2
    left = tree_sum(shards[:middle], of_shard).clone()
    return tree_sum(shards[middle:], of_shard).add_(left)
