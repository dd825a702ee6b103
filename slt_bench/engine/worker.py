"""What the fresh process of a job does: it agrees with the head or refuses, runs the cells, and sends what became of them."""

from __future__ import annotations

import os
import signal
import time
import traceback
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing import connection, parent_process
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Thread

from slt_bench.common import paths
from slt_bench.common.errors import BenchError, Interrupted, Preempted, run_command
from slt_bench.common.files import wait_until_free
from slt_bench.common.libraries import first_line, fix
from slt_bench.engine.job import Files, Job, Outcome, Versions, read_results, write_results
from slt_bench.experiment.cell import Cell
from slt_bench.records.shared import take_from_others
from slt_bench.records.standing import cell_standing, digest_of, is_done

_STOPPED = (Interrupted.status, Preempted.status, -signal.SIGINT, -signal.SIGTERM)
_PATIENCE = 60.0  # seconds that the state of a search may be held by a worker that is ending


def serve(job: Job, device: str | None, messages: Connection) -> None:
    """Run a job in this process and send messages: a reason to refuse it, numbers of cells that begin, outcomes, files.

    Args:
        job: the cells.
        device: CUDA device to use; all that are visible if None.
        messages: to the thread that watches this process.
    """
    os.setpgrp()  # Ctrl-C reaches the head alone, which asks for a stop
    Thread(target=_end_with_parent, daemon=True).start()
    if device is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = device
    shared = job.sees_project()
    if shared:
        os.chdir(job.project)
    try:
        reason = _reason_to_refuse(job, shared)
    except ImportError as error:
        reason = fix(error) or first_line(error)
    if reason:
        messages.send(reason)
        return
    if job.threads is not None:
        import torch

        torch.set_num_threads(job.threads)
    with suppress(BrokenPipeError):  # the thread that listens is gone, and with it the worker
        _Run(job, messages, shared).run()


def _end_with_parent() -> None:
    """Stop this process when its parent ends: one that is killed cannot stop it itself."""
    if parent := parent_process():
        connection.wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)


def _reason_to_refuse(job: Job, shared: bool) -> str:
    """Return the reason why this worker's results could differ from the head's; empty if they cannot.

    Args:
        job: says what the head has.
        shared: whether this worker sees the head's directory; if not, it prepares datasets that it lacks.
    """
    differences = _differences(job, Versions.here(job.cells))
    if differences or shared:
        return ", ".join(differences)
    try:
        for cell in {cell.dataset_name: cell for cell in job.cells}.values():
            job.work.prepare(cell, job.machine.workers)
            here, there = digest_of(cell), job.images[cell.dataset_name]
            if here != there:
                differences.append(f"images of {cell.dataset_name} {here[:12]} instead of {there[:12]}")
    except BenchError as error:
        return str(error)
    return ", ".join(differences)


def _differences(job: Job, here: Versions) -> list[str]:
    """Describe what this worker has other than the head, images aside."""
    changed = [f"parameters of {cell.id}" for cell in job.cells if cell.identity != job.identities[cell.id]]
    return job.versions.differences(here) + changed[:1]


def results_here(jobs: Sequence[Job]) -> Files:
    """Read what a worker that does not see the head's directory has finished of some jobs, for a head that has died since."""
    found: list[Path] = []
    for job in jobs:
        if not job.sees_project() and not _differences(job, Versions.here(job.cells)):
            found += [cell.directory for cell in job.cells
                      if cell_standing(cell, job.images[cell.dataset_name], tickets=True).is_result]  # fmt: skip
    return read_results(found)


class _Run:
    """The run of a job's cells, one after another."""

    def __init__(self, job: Job, messages: Connection, shared: bool) -> None:
        self.job, self.messages, self.shared = job, messages, shared
        self.failed: dict[str, str] = {}  # id of a cell -> the table in which it failed
        self.is_broken = False  # a mistake may have left anything: after some errors no call of CUDA works

    def run(self) -> None:
        """Run the cells until one is stopped; after a mistake the head gives the others to a fresh process."""
        if not self.shared:
            write_results(self.job.parents)
        for number, cell in enumerate(self.job.cells):
            obstacle = self._obstacle(cell)
            if self.is_broken and not obstacle:
                continue
            self.messages.send(number)
            began = time.monotonic()
            kind, line, log = ("failed", obstacle, None) if obstacle else self._outcome(cell)
            if kind == "failed":
                self.failed[cell.id] = cell.table
            if not self.shared and kind == "done":
                self.messages.send(read_results([cell.directory]))
            self.messages.send(Outcome(cell.table, cell.id, kind, line, time.monotonic() - began, log))  # type: ignore[arg-type]
            if kind == "stopped":
                return

    def _outcome(self, cell: Cell) -> tuple[str, str, str | None]:
        """Run a cell, unless there is its result; returns how it ended, what it said, and its log."""
        try:
            wait_until_free(paths.state_dir(cell.id, cell.identity), _PATIENCE)
            if is_done(cell) or take_from_others([cell]):
                return "done", f"{cell.id}  is there already", None
            log = paths.log_file(cell.id)
            offset = _log_into(log)
        except (BenchError, OSError) as error:
            return "failed", str(error), None
        try:
            kind, line = _run_cell(self.job, cell, log, offset)
        except BaseException as error:  # a mistake in this package, whose traceback belongs into the log
            traceback.print_exc()  # its last line may be a library's advice
            self.is_broken, kind, line = True, "failed", f"{type(error).__name__}: {first_line(error)}"
        return kind, line, str(log)

    def _obstacle(self, cell: Cell) -> str:
        """Return the reason why a cell cannot run after what has failed; empty if there is none."""
        parent = cell.source.parent
        if cell.id in self.failed:
            return f"it failed in table {self.failed[cell.id]}"
        return f"its ticket comes from {parent.id}, which failed" if parent and parent.id in self.failed else ""


def _run_cell(job: Job, cell: Cell, log: Path, offset: int) -> tuple[str, str]:
    """Run a cell; returns how it ended and what it said last."""
    status = 0
    try:
        run_command(lambda: job.work.run(job.machine, cell))
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    line = _last_line(log, offset)
    if status in _STOPPED:
        return "stopped", line
    if status:
        is_explained = status == 2 and line.startswith("error: ")
        return "failed", line.removeprefix("error: ") if is_explained else f"exit status {status}: {line}"
    return "done", line


def _log_into(log: Path) -> int:
    """Let this process write all its output into a log; returns the size that the file had, in bytes."""
    log.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(file, stream)
    os.close(file)
    return log.stat().st_size


def _last_line(log: Path, offset: int) -> str:
    """Return the last line of a log after `offset` bytes."""
    try:
        lines = log.read_bytes()[offset:].decode(errors="replace").strip().splitlines()
    except OSError:
        return "it left no log"
    return lines[-1] if lines else "it said nothing"
