"""The rendezvous of several processes: what torchrun, or `launch`, tells each in its environment, and how they meet."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import timedelta
from threading import Thread
from typing import TYPE_CHECKING

from slt_bench.common.errors import BenchError
from slt_bench.common.libraries import first_line

if TYPE_CHECKING:
    from torch._C._distributed_c10d import Store

_PATIENCE = 600.0  # seconds: processes may be started by hand, one after the other
_SILENCE = 5.0  # seconds before a process says that it waits
_POLL = 0.2  # seconds between two attempts to reach the first process
_FIX = "unset WORLD_SIZE to search with one process, or start all of them with torchrun"


@dataclass(frozen=True)
class Rendezvous:
    """The rank of a process among those that work together, and where they meet."""

    rank: int
    world_size: int
    address: str  # of the first process
    port: int

    def __str__(self) -> str:
        return f"{self.address}:{self.port}"


def read_rendezvous() -> Rendezvous | None:
    """Read from the environment which of several processes this one is.

    Returns:
        The rendezvous; None if this process was started alone.

    Raises:
        BenchError: WORLD_SIZE is left over from something else: the variables that go with it are missing or make no sense.
    """
    size = whole_number("WORLD_SIZE", 1, 2**20, absent=1)
    if size == 1:
        return None
    rank, port = whole_number("RANK", 0, size - 1), whole_number("MASTER_PORT", 1, 2**16 - 1)
    address = os.environ.get("MASTER_ADDR", "").strip()
    if not address:
        raise BenchError(f"WORLD_SIZE is {size} in the environment, but MASTER_ADDR is not set: {_FIX}")
    return Rendezvous(rank, size, address, port)


def whole_number(name: str, least: int, most: int, absent: int | None = None) -> int:
    """Read a variable of the environment as a whole number.

    Args:
        name: of the variable.
        least: the smallest number that is allowed.
        most: the largest number that is allowed.
        absent: the number where the variable is empty or not set; None if it is needed.

    Returns:
        The number.

    Raises:
        BenchError: the variable is needed and not set, is no number, or is out of range.
    """
    text = os.environ.get(name, "").strip()
    if not text and absent is not None:
        return absent
    others = "" if name == "WORLD_SIZE" else f"WORLD_SIZE is {os.environ.get('WORLD_SIZE', '')} in the environment, but "
    if not text:
        raise BenchError(f"{others}{name} is not set: {_FIX}")
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and least <= int(text) <= most):
        where = "" if others else " in the environment"
        raise BenchError(f"{others}{name} is {text[:40]!r}{where}, not a whole number from {least} to {most}: {_FIX}")
    return int(text)


def end_with_parent() -> None:
    """Have this process killed with the one that launched it, or it would hold the search's lock (Linux only)."""
    if sys.platform.startswith("linux") and os.environ.get("SLT_BENCH_LAUNCHED"):
        parent = whole_number("SLT_BENCH_LAUNCHED", 1, 2**22)
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        if os.getppid() != parent:  # the parent has died before
            os.kill(os.getpid(), signal.SIGKILL)


def meet(rendezvous: Rendezvous) -> Store:
    """Wait until all processes are there.

    Args:
        rendezvous: of this process.

    Returns:
        The store by which they find each other.

    Raises:
        BenchError: the others did not come, or there is no such address.
    """
    from torch.distributed.distributed_c10d import default_pg_timeout

    ends = time.monotonic() + _PATIENCE
    try:
        _reach(rendezvous, ends)
        store = _in_background(lambda: _torch_store(ends - time.monotonic()))
    except (OSError, RuntimeError, ValueError) as error:
        raise BenchError(
            f"{rendezvous.world_size} processes cannot meet at {rendezvous} ({first_line(error)}): {_FIX}"
        ) from error
    store.set_timeout(default_pg_timeout)
    return store


def _reach(rendezvous: Rendezvous, ends: float) -> None:
    """Wait until the first process answers; torch itself waits with a page of warnings a minute."""
    if rendezvous.rank == 0:
        socket.getaddrinfo(rendezvous.address, rendezvous.port)
        if "SLT_BENCH_LAUNCHED" not in os.environ:
            print(f"{rendezvous.world_size} processes meet at {rendezvous} (WORLD_SIZE, MASTER_ADDR, MASTER_PORT)", flush=True)
        return
    note = time.monotonic() + _SILENCE
    while True:
        try:
            socket.create_connection((rendezvous.address, rendezvous.port), timeout=2).close()
            return
        except OSError:
            if time.monotonic() > ends:
                raise
        if note < time.monotonic() < note + 1:
            waiting = f"process {rendezvous.rank} of {rendezvous.world_size} (WORLD_SIZE)"
            print(f"{waiting} waits for the first one at {rendezvous}", flush=True)
            note = ends
        time.sleep(_POLL)


def _torch_store(seconds: float) -> Store:
    from torch.distributed.rendezvous import rendezvous

    store: Store = next(rendezvous("env://", timeout=timedelta(seconds=max(1.0, seconds))))[0]
    return store


def _in_background(work: Callable[[], Store]) -> Store:
    """Return the result of the work; meanwhile Ctrl-C and SIGTERM are heard, which torch does not hear as it waits."""
    outcome: Future[Store] = Future()

    def run() -> None:
        try:
            outcome.set_result(work())
        except BaseException as error:
            outcome.set_exception(error)

    Thread(target=run, daemon=True).start()
    return outcome.result()
