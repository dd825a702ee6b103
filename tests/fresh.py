"""Fresh processes that are forked from one in which torch and the package are imported, so that each starts in no time."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from multiprocessing import get_context
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


def _call(directory: Path, variables: dict[str, str], function: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    os.chdir(directory)
    os.environ.update(variables)
    function(*arguments)
