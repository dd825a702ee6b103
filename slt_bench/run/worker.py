"""The work of a process of the pool: one cell, with all its output in a log."""

from __future__ import annotations

import os
import signal
from multiprocessing import connection, parent_process
from pathlib import Path
from threading import Thread

from slt_bench.common import paths
from slt_bench.common.errors import run_command
from slt_bench.experiment.cell import Cell
from slt_bench.params.machine import Machine


def work(machine: Machine, cell: Cell, device: str | None, threads: int) -> None:
    """Run a cell in this process, which exits with a status.

    Args:
        machine: how this machine runs searches.
        cell: the cell.
        device: CUDA device to use; all that are visible if None.
        threads: to compute with on the CPU, 1 or more.

    Raises:
        SystemExit: the cell failed, or was stopped; its log has the reason.
    """
    os.setpgrp()  # Ctrl-C reaches the pool alone, which sends SIGTERM
    Thread(target=_stop_with_the_pool, daemon=True).start()
    log = os.open(paths.log_file(cell.id), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(log, stream)
    if device is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = device
    import torch

    from slt_bench.run.tasks import run_cell

    torch.set_num_threads(threads)
    run_command(lambda: run_cell(machine, cell))


def _stop_with_the_pool() -> None:
    """Stop this process when the pool ends; a pool that is killed cannot stop its processes itself."""
    if pool := parent_process():
        connection.wait([pool.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)


def last_line(log: Path, offset: int) -> str:
    """Return the last line that was added to a log.

    Args:
        log: the file.
        offset: its size in bytes before the process began.
    """
    try:
        lines = log.read_bytes()[offset:].decode(errors="replace").strip().splitlines()
    except OSError:
        return "it left no log"
    return lines[-1] if lines else "it said nothing"
