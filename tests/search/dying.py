"""A search that kills its own process as it writes its state, in one of several ways."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import torch

from slt_bench.compute.world import together
from slt_bench.experiment.cell import Cell
from slt_bench.params.machine import Machine
from slt_bench.search.run import search

WAYS = ("any moment", "half written", "before fsync", "before the old is kept", "before the new takes its place", "after it")


def search_and_die(cell: Cell, way: str, number: int, begun: str) -> None:
    """Search a cell, and be killed at the number-th time that this way of dying offers.

    Args:
        cell: the experiment.
        way: one of `WAYS`; `never` lets it live.
        number: from 1.
        begun: a file that is written as it begins.
    """
    left = number

    def die() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    fsync, replace, write_bytes = os.fsync, Path.replace, Path.write_bytes

    def new_fsync(file: int) -> None:
        if way == "before fsync":
            die()
        fsync(file)

    def new_replace(self: Path, target: Any) -> Path:
        if (way, Path(target).name) in (
            ("before the old is kept", "previous.pt"),
            ("before the new takes its place", "checkpoint.pt"),
        ):
            die()
        moved = replace(self, target)
        if way == "after it" and Path(target).name == "checkpoint.pt":
            die()
        return moved

    def new_write_bytes(self: Path, content: Any) -> int:
        if way == "half written" and left == 1:
            write_bytes(self, bytes(content)[: len(content) // 2])
        if way == "half written":
            die()
        return write_bytes(self, content)

    os.fsync, Path.replace, Path.write_bytes = new_fsync, new_replace, new_write_bytes  # type: ignore[assignment,method-assign]
    torch.set_num_threads(1)
    Path(begun).touch()
    with together() as world:
        search(cell, machine=Machine(checkpoint_minutes=1e-9), world=world)
