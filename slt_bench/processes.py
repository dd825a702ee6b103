"""Several processes that do one search together, on one machine or on many (torch.distributed).

What they exchange in a step is the gradient of what is learned, N_free floats; everything else is seldom or small. Sums are
made in the order of a binary tree over the shards of a batch, whoever holds them, so that a ticket does not depend on how
many processes found it (docs/scale.md).
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING, Any

from slt_bench.errors import Preempted
from slt_bench.torchrun import end_with_parent, meet, place, whole_number

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_POLL = 0.05  # seconds between looks at the processes
_CRASHED = (1, -signal.SIGABRT)  # not a word that all say alike: perhaps only since another process was gone


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


def started_together() -> bool:
    """Whether this process was started as one of several, by `launch` or torchrun (BenchError: in part only)."""
    return place() is not None


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


def usable(asked: int, shards: int) -> int:
    """How many of the processes that were asked for can share a batch of so many shards: a power of two, as these are."""
    return 1 << (min(asked, shards).bit_length() - 1)


def launch(count: int, command: Sequence[str]) -> int:
    """Run `count` processes of a command on this machine; returns 0, or the exit status of the first that failed.

    Signals are passed on. Where one fails, the others are ended. Only the first writes to the terminal; what another had
    to say is shown if it was the one that failed.
    """
    port = _free_port()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    common = {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    threads = os.environ.get("OMP_NUM_THREADS", str(max(1, cores // count)))
    common |= {"SLT_BENCH_LAUNCHED": str(os.getpid()), "OMP_NUM_THREADS": threads}
    children: list[subprocess.Popen[bytes]] = []

    def pass_on(number: int, frame: FrameType | None) -> None:
        for child in children:
            child.send_signal(number)

    before: dict[int, Any] = {number: signal.signal(number, pass_on) for number in (signal.SIGTERM, signal.SIGINT)}
    with ExitStack() as stack:
        stack.callback(_restore, before, children)
        logs = [stack.enter_context(tempfile.TemporaryFile()) for _ in range(1, count)]
        for rank in range(count):
            environment = os.environ | common | {"RANK": str(rank), "LOCAL_RANK": str(rank)}
            quiet = {"stdout": subprocess.DEVNULL, "stderr": logs[rank - 1]} if rank else {}
            children.append(subprocess.Popen(command, env=environment, start_new_session=True, **quiet))  # type: ignore[call-overload]
        failed = _wait(children)
        if failed is None:
            return 0
        if failed and (children[failed].returncode != children[0].returncode or children[0].returncode in _CRASHED):
            logs[failed - 1].seek(0)
            sys.stderr.write(logs[failed - 1].read().decode(errors="replace"))
        status = children[failed].returncode
        return Preempted.status if status == -signal.SIGTERM else status


def _restore(handlers: dict[int, Any], children: Sequence[subprocess.Popen[bytes]]) -> None:
    """End what still runs, and give the signals back."""
    for number, handler in handlers.items():
        signal.signal(number, handler)
    for child in children:
        child.kill()
        child.wait()


def _wait(children: Sequence[subprocess.Popen[bytes]]) -> int | None:
    """Wait for all to end, or for one to fail; its number. The others get ten seconds to fail for the same reason."""
    while True:
        codes = [child.poll() for child in children]
        failed = [rank for rank, code in enumerate(codes) if code]
        if not failed and None not in codes:
            return None
        if failed:
            patience = time.monotonic() + 10
            while time.monotonic() < patience and None in [child.poll() for child in children]:
                time.sleep(_POLL)
            return failed[0]
        time.sleep(_POLL)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
