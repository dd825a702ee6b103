"""Fresh processes that are forked from one in which torch and the package are imported, so that each starts in no time."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sys
import tempfile
import time
import weakref
from collections.abc import Callable, Mapping
from multiprocessing import forkserver, get_context
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

_CONTEXT = get_context("forkserver")


def start(function: Callable[..., None], *arguments: Any, variables: Mapping[str, str] | None = None) -> ForkServerProcess:
    """Start a process that calls a function of a module, in this directory, with some variables in its environment."""
    _CONTEXT.set_forkserver_preload(["slt_bench.run.warm"])  # as the engine does: one server serves both
    process = _CONTEXT.Process(target=_call, args=(Path.cwd(), dict(variables or {}), function, arguments))
    process.start()
    return process


def start_ranks(count: int, function: Callable[..., None], *arguments: Any) -> list[ForkServerProcess]:
    """Start processes that work together, by the variables that torchrun sets; one alone gets none."""
    if count == 1:
        return [start(function, *arguments)]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    common = {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    ranks = [common | {"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(count)]
    return [start(function, *arguments, variables=variables) for variables in ranks]


class Command:
    """`slt-bench` with some arguments in a fresh process; the processes that it starts are forked from where it was.

    It is used as a `subprocess.Popen` whose output is text.
    """

    def __init__(self, *arguments: str) -> None:
        """Start it in this directory."""
        folder = Path(tempfile.mkdtemp())
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self.arguments = arguments
        self._said = [folder / "stdout", folder / "stderr"]
        self._process = start(_command, arguments, self._said)
        self.pid = self._process.pid

    @property
    def returncode(self) -> int | None:
        """The exit status; minus the signal that killed it; None while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """Look whether it has ended."""
        return self.returncode

    def wait_for(self, text: str, seconds: float = 60) -> str:
        """Wait until it prints a text; returns the line."""
        until = time.monotonic() + seconds
        while True:
            lines = self._said[0].read_text().splitlines(keepends=True) if self._said[0].is_file() else []
            if found := next((line for line in lines if text in line and line.endswith("\n")), None):
                return found
            assert self.poll() is None and time.monotonic() < until, [path.read_text() for path in self._said]
            time.sleep(0.02)

    def communicate(self, timeout: float = 60) -> tuple[str, str]:
        """Wait for its end; returns what it has printed."""
        self._process.join(timeout)
        assert self.returncode is not None, f"{self.arguments} still runs after {timeout} s"
        out, errors = (path.read_text() if path.is_file() else "" for path in self._said)
        return out, errors

    def send_signal(self, sign: int) -> None:
        """Send it a signal."""
        os.kill(self.pid or 0, sign)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)


def _command(arguments: tuple[str, ...], said: list[Path]) -> None:
    """Run a command with its output in files."""
    from slt_bench.cli.commands import invoke
    from slt_bench.common.errors import run_command

    for number, path in enumerate(said, start=1):
        with path.open("wb") as file:
            os.dup2(file.fileno(), number)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which what is started in the background ignores
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    forkserver._forkserver.ensure_running = lambda: None  # type: ignore[method-assign]  # the one that has forked this process runs
    run_command(lambda: invoke(list(arguments)))


def _call(directory: Path, variables: dict[str, str], function: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    os.chdir(directory)
    os.environ.update(variables)
    function(*arguments)
