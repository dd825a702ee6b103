"""The processes that do one search together, on one machine or on many (torch.distributed).

What they exchange in a step is the gradient of what is learned, N_free floats; everything else is seldom or small. Sums are
taken in the order of a binary tree over the micro-batches of a batch, whoever holds them, so that a ticket does not depend on
how many processes found it (docs/scale.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slt_bench.compute.torchrun import end_with_parent, meet, read_rendezvous, whole_number

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True)
class World:
    """The processes that work together, as one of them sees them: its rank, and how many there are."""

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes files and talks."""
        return self.rank == 0

    def add(self, vector: Tensor) -> None:
        """Replace a vector by its sum over all processes, the same bits in each: neighbours first, then their neighbours.

        Args:
            vector: float[n], changed in place; the world size must be a power of two.
        """
        import torch
        from torch import distributed

        distance = 1
        while distance < self.size:
            other, received = self.rank ^ distance, torch.empty_like(vector)
            exchange = [
                distributed.P2POp(distributed.isend, vector, other),
                distributed.P2POp(distributed.irecv, received, other),
            ]
            for request in distributed.batch_isend_irecv(exchange):
                request.wait()
            vector.add_(received)
            distance *= 2

    def collect(self, parts: Sequence[Tensor]) -> list[Tensor]:
        """Gather the tensors of all processes.

        Args:
            parts: this process's tensors, all of one shape, as many in each process.

        Returns:
            Those of all processes, in the order of their ranks.
        """
        import torch
        from torch import distributed

        if self.size == 1:
            return list(parts)
        local = torch.stack(list(parts))
        of_ranks = [torch.empty_like(local) for _ in range(self.size)]
        distributed.all_gather(of_ranks, local)
        return [part for of_rank in of_ranks for part in of_rank]

    def total(self, tensor: Tensor) -> Tensor:
        """Add up a tensor over all processes.

        Args:
            tensor: integers, or values that are 0 in all processes but one, so that the order of the sum does not matter.

        Returns:
            The sum; the tensor itself where this process is alone.
        """
        from torch import distributed

        if self.size > 1:
            tensor = tensor.clone()
            distributed.all_reduce(tensor)
        return tensor

    def largest(self, value: int, device: torch.device) -> int:
        """Find the largest value of any process.

        Args:
            value: this process's, in the range of int64.
            device: one that the processes exchange tensors from.

        Returns:
            The same number in every process.
        """
        import torch
        from torch import distributed

        if self.size == 1:
            return value
        tensor = torch.tensor(value, device=device)
        distributed.all_reduce(tensor, distributed.ReduceOp.MAX)
        return int(tensor)

    def agrees(self, value: int, device: torch.device) -> bool:
        """Whether all processes have one value; `largest` explains the arguments."""
        return self.largest(value, device) == -self.largest(-value, device)


ALONE = World()


@contextmanager
def together() -> Iterator[World]:
    """Join the process group for the duration of the block, if this process is one of several.

    Yields:
        Its rank and the world size; `ALONE` if it was started alone.

    Raises:
        BenchError: the other processes cannot be met.
    """
    rendezvous = read_rendezvous()
    if rendezvous is None:
        yield ALONE
        return
    import torch
    from torch import distributed

    end_with_parent()
    if not distributed.is_initialized():
        if torch.cuda.is_available():
            torch.cuda.set_device(whole_number("LOCAL_RANK", 0, torch.cuda.device_count() - 1, absent=0))
        backend = "nccl" if torch.cuda.is_available() else "gloo"
        distributed.init_process_group(backend, store=meet(rendezvous), rank=rendezvous.rank, world_size=rendezvous.world_size)
    try:
        yield World(distributed.get_rank(), distributed.get_world_size())
    finally:  # else its threads may abort the process as it ends, and with that its exit status
        distributed.destroy_process_group()
