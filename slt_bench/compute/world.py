"""The processes that do one search together, on one machine or on many (torch.distributed).

What they exchange in a step is the gradient of what is learned, N_free floats; everything else is seldom or small. Sums are
made in the order of a binary tree over the shards of a batch, whoever holds them, so that a ticket does not depend on how
many processes found it (docs/scale.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slt_bench.compute.torchrun import end_with_parent, meet, place, whole_number

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True)
class Processes:
    """The processes that work together, as one of them sees them."""

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the one that writes files and talks."""
        return self.rank == 0

    def add(self, vector: Tensor) -> None:
        """Replace a vector by its sum over all processes, the same bits in each: neighbours first, then their neighbours."""
        import torch
        from torch import distributed

        distance = 1
        while distance < self.count:
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
        """What all processes hold, in the order of their numbers."""
        import torch
        from torch import distributed

        if self.count == 1:
            return list(parts)
        mine = torch.stack(list(parts))
        all_parts = [torch.empty_like(mine) for _ in range(self.count)]
        distributed.all_gather(all_parts, mine)
        return [part for each in all_parts for part in each]

    def total(self, tensor: Tensor) -> Tensor:
        """The sum over all processes of what is whole numbers, or 0 in all but one: the order does not matter."""
        from torch import distributed

        if self.count > 1:
            tensor = tensor.clone()
            distributed.all_reduce(tensor)
        return tensor

    def most(self, value: int, device: torch.device) -> int:
        """The largest value in any process."""
        import torch
        from torch import distributed

        if self.count == 1:
            return value
        tensor = torch.tensor(value, device=device)
        distributed.all_reduce(tensor, distributed.ReduceOp.MAX)
        return int(tensor)


ALONE = Processes()


@contextmanager
def together() -> Iterator[Processes]:
    """Meet the other processes, if there are any, and part from them.

    Raises:
        BenchError: they cannot be met.
    """
    here = place()
    if here is None:
        yield ALONE
        return
    import torch
    from torch import distributed

    end_with_parent()
    if not distributed.is_initialized():
        if torch.cuda.is_available():
            torch.cuda.set_device(whole_number("LOCAL_RANK", 0, torch.cuda.device_count() - 1, absent=0))
        backend = "nccl" if torch.cuda.is_available() else "gloo"
        distributed.init_process_group(backend, store=meet(here), rank=here.rank, world_size=here.count)
    try:
        yield Processes(distributed.get_rank(), distributed.get_world_size())
    finally:  # else its threads may abort the process as it ends, and with that its exit status
        distributed.destroy_process_group()
