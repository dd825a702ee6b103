"""A dask cluster of processes that a test can kill one by one."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.engine.projects import environment


class Cluster:
    """A scheduler, and workers under a nanny that starts them again."""

    def __init__(self) -> None:
        """Start the scheduler."""
        from distributed import Client

        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.address = f"tcp://127.0.0.1:{probe.getsockname()[1]}"
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._start("scheduler", "scheduler", "--port", self.address.rpartition(":")[2], "--no-dashboard")
        until = time.monotonic() + 60
        while True:
            try:
                self.client = Client(self.address, timeout=5, set_as_default=False)
                return
            except OSError:
                assert time.monotonic() < until

    def _start(self, name: str, kind: str, *options: str, **variables: str) -> None:
        command = [sys.executable, "-m", "distributed.cli.dask_" + kind, *options]
        self.processes[name] = subprocess.Popen(
            command, env=environment() | variables, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def add(self, name: str, **variables: str) -> None:
        """Start a worker, with variables in its environment, and wait until it is there."""
        before = len(self.workers())
        self._start(name, "worker", self.address, "--nthreads", "1", "--name", name, "--no-dashboard", **variables)
        self.client.wait_for_workers(before + 1, timeout=60)

    def workers(self) -> dict[str, Any]:
        """Look up the workers by address."""
        found: dict[str, Any] = self.client.scheduler_info(n_workers=-1)["workers"]
        return found

    def victims(self) -> list[int]:
        """List the processes of the workers, under their nannies, and those of searches, under the processes that fork them."""
        found, waiting = [], [(process.pid, "") for name, process in self.processes.items() if name != "scheduler"]
        while waiting:
            pid, parent = waiting.pop()
            command, children = _command(pid), _children(pid)
            if "spawn_main" in command or ("forkserver" in command and "forkserver" in parent):
                found.append(pid)
            waiting += [(child, command) for child in children]
        return sorted(found)

    def close(self) -> None:
        """End all processes."""
        self.client.close()
        scheduler = self.processes.pop("scheduler")
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            process.wait(timeout=30)
        scheduler.terminate()  # last: workers that have lost it wait for it
        scheduler.wait(timeout=30)


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:  # it has ended
        return ""


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for thread in Path(f"/proc/{pid}/task").glob("*"):  # a thread's children are listed under it
        with suppress(OSError):
            found += map(int, (thread / "children").read_text().split())
    return found


@contextmanager
def cluster(directory: Path, *names: str) -> Iterator[Cluster]:
    """Run a cluster of some workers for the duration of the block; they work in a directory of their own."""
    before = Path.cwd()
    os.chdir(directory)
    try:
        made = Cluster()
        try:
            for name in names:
                made.add(name)
            os.chdir(before)
            yield made
        finally:
            made.close()
    finally:
        os.chdir(before)
