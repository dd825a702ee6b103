"""What torchrun, or `launch`, tells each process in its environment: how many there are, which it is, where they meet."""

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

_PATIENCE = 600.0  # seconds, for processes that are started by hand, one after the other
_SILENCE = 5.0  # seconds before one says that it waits
_POLL = 0.2
_MEND = "unset WORLD_SIZE to search with one process, or start all of them with torchrun"


@dataclass(frozen=True)
class Place:
    """One of `count` processes that work together."""

    rank: int
    count: int
    address: str
    port: int

    def __str__(self) -> str:
        return f"{self.address}:{self.port}"


def place() -> Place | None:
    """Which of several processes this one is; None if it was started alone.

    Raises:
        BenchError: WORLD_SIZE is left over from something else: the variables that go with it are missing or make no sense.
    """
    count = whole_number("WORLD_SIZE", 1, 2**20, absent=1)
    if count == 1:
        return None
    rank, port = whole_number("RANK", 0, count - 1), whole_number("MASTER_PORT", 1, 2**16 - 1)
    address = os.environ.get("MASTER_ADDR", "").strip()
    if not address:
        raise BenchError(f"WORLD_SIZE is {count} in the environment, but MASTER_ADDR is not set: {_MEND}")
    return Place(rank, count, address, port)


def whole_number(name: str, least: int, most: int, absent: int | None = None) -> int:
    """A variable of the environment as a number; `absent` is its value where it is empty or not set.

    Raises:
        BenchError: it is not set but needed, no number or out of range.
    """
    text = os.environ.get(name, "").strip()
    if not text and absent is not None:
        return absent
    others = "" if name == "WORLD_SIZE" else f"WORLD_SIZE is {os.environ.get('WORLD_SIZE', '')} in the environment, but "
    if not text:
        raise BenchError(f"{others}{name} is not set: {_MEND}")
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and least <= int(text) <= most):
        where = "" if others else " in the environment"
        raise BenchError(f"{others}{name} is {text[:40]!r}{where}, not a whole number from {least} to {most}: {_MEND}")
    return int(text)


def end_with_parent() -> None:
    """A process that `launch` started must not outlive it, or it would hold the search's lock (Linux only)."""
    if sys.platform.startswith("linux") and os.environ.get("SLT_BENCH_LAUNCHED"):
        parent = whole_number("SLT_BENCH_LAUNCHED", 1, 2**22)
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        if os.getppid() != parent:  # it has died before
            os.kill(os.getpid(), signal.SIGKILL)


def meet(here: Place) -> Store:
    """Wait until all processes are there; returns what they find each other by.

    Raises:
        BenchError: nobody came, or there is no such place.
    """
    from torch.distributed.distributed_c10d import default_pg_timeout

    ends = time.monotonic() + _PATIENCE
    try:
        _reach(here, ends)
        store = _in_background(lambda: _rendezvous(ends - time.monotonic()))
    except (OSError, RuntimeError, ValueError) as error:
        raise BenchError(f"{here.count} processes cannot meet at {here} ({first_line(error)}): {_MEND}") from error
    store.set_timeout(default_pg_timeout)
    return store


def _reach(here: Place, ends: float) -> None:
    """Wait until the first process answers; torch itself waits with a page of warnings a minute."""
    if here.rank == 0:
        socket.getaddrinfo(here.address, here.port)
        if "SLT_BENCH_LAUNCHED" not in os.environ:
            print(f"{here.count} processes meet at {here} (WORLD_SIZE, MASTER_ADDR, MASTER_PORT)", flush=True)
        return
    note = time.monotonic() + _SILENCE
    while True:
        try:
            socket.create_connection((here.address, here.port), timeout=2).close()
            return
        except OSError:
            if time.monotonic() > ends:
                raise
        if note < time.monotonic() < note + 1:
            print(f"process {here.rank} of {here.count} (WORLD_SIZE) waits for the first one at {here}", flush=True)
            note = ends
        time.sleep(_POLL)


def _rendezvous(seconds: float) -> Store:
    from torch.distributed.rendezvous import rendezvous

    store: Store = next(rendezvous("env://", timeout=timedelta(seconds=max(1.0, seconds))))[0]
    return store


def _in_background(work: Callable[[], Store]) -> Store:
    """What the work gives; meanwhile Ctrl-C and SIGTERM are heard, which torch does not hear as it waits."""
    outcome: Future[Store] = Future()

    def run() -> None:
        try:
            outcome.set_result(work())
        except BaseException as error:
            outcome.set_exception(error)

    Thread(target=run, daemon=True).start()
    return outcome.result()
