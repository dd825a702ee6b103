"""Start several processes that do one search together on this machine, and end with the one that fails."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from types import FrameType
from typing import Any

from slt_bench.common.errors import Preempted
from slt_bench.compute.devices import cores
from slt_bench.compute.torchrun import read_rendezvous

_POLL = 0.05  # seconds between looks at the processes
_PATIENCE = 10.0  # seconds that the others get to fail for the reason of the first that failed
_CRASHED = (1, -signal.SIGABRT)  # statuses that a process may have only since another one was gone


def started_together() -> bool:
    """Whether this process was started as one of several, by `launch` or torchrun.

    Raises:
        BenchError: the environment says so in part only.
    """
    return read_rendezvous() is not None


def usable_world_size(requested: int, microbatches: int) -> int:
    """Compute how many of the requested processes can share a batch.

    Args:
        requested: number of processes, at least 1.
        microbatches: of a batch: a power of two.

    Returns:
        A power of two.
    """
    return 1 << (min(requested, microbatches).bit_length() - 1)


def launch(count: int, command: Sequence[str]) -> int:
    """Run several processes of one command on this machine, and wait for them.

    Signals are passed on. Where one process fails, the others are ended. Only the first writes to the terminal; the messages
    of another are shown if it was the one that failed.

    Args:
        count: number of processes.
        command: program and arguments.

    Returns:
        0, or the exit status of the first process that failed.
    """
    port = _free_port()
    common = {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    threads = os.environ.get("OMP_NUM_THREADS", str(max(1, cores() // count)))
    common |= {"SLT_BENCH_LAUNCHED": str(os.getpid()), "OMP_NUM_THREADS": threads}
    children: list[subprocess.Popen[bytes]] = []

    def pass_on(number: int, frame: FrameType | None) -> None:
        for child in children:
            child.send_signal(number)

    handlers: dict[int, Any] = {number: signal.signal(number, pass_on) for number in (signal.SIGTERM, signal.SIGINT)}
    with ExitStack() as stack:
        stack.callback(_restore, handlers, children)
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
    """End the processes that still run, and restore the handlers of signals."""
    for number, handler in handlers.items():
        signal.signal(number, handler)
    for child in children:
        child.kill()
        child.wait()


def _wait(children: Sequence[subprocess.Popen[bytes]]) -> int | None:
    """Wait for all processes to end, or for one to fail, and return the rank of that one."""
    while True:
        codes = [child.poll() for child in children]
        failed = [rank for rank, code in enumerate(codes) if code]
        if not failed and None not in codes:
            return None
        if failed:
            ends = time.monotonic() + _PATIENCE
            while time.monotonic() < ends and None in [child.poll() for child in children]:
                time.sleep(_POLL)
            return failed[0]
        time.sleep(_POLL)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
