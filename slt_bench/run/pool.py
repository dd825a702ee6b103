"""Many cells, several at a time: a process and a log for each, no lock held, one failure touching no other cell."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing import connection, get_context, parent_process
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from threading import Thread

from tqdm import tqdm

from slt_bench.common import paths
from slt_bench.common.errors import Interrupted, Preempted, run_command
from slt_bench.common.text import duration
from slt_bench.compute.memory import sleep_while_waiting
from slt_bench.experiment.cell import Cell
from slt_bench.params.machine import Machine
from slt_bench.records.shared import take_from_others
from slt_bench.records.standing import is_done

_STOPPED = (Interrupted.status, Preempted.status, -signal.SIGINT, -signal.SIGTERM)


@dataclass(frozen=True)
class Failure:
    """A cell that has no result, and why."""

    cell: Cell
    reason: str
    log: Path | None = None  # None where it was never begun


@dataclass(frozen=True)
class _Job:
    cell: Cell
    device: str | None
    process: ForkServerProcess
    started: float
    said: int  # bytes that were in its log before


def run_cells(machine: Machine, cells: Sequence[Cell], jobs: int, devices: Sequence[str] = ()) -> list[Failure]:
    """Run the cells that are not done, `jobs` at a time, each on one of the devices; returns those that failed.

    A cell that takes its roles from another's ticket waits for that one. On a CPU each process has its share of the cores,
    or fewer where OMP_NUM_THREADS says so.

    Raises:
        Interrupted: Ctrl-C, or SIGTERM (`Preempted`); every search has saved its state, and the same command goes on.
    """
    return _Pool(machine, cells, jobs, devices).run()


class _Pool:
    def __init__(self, machine: Machine, cells: Sequence[Cell], jobs: int, devices: Sequence[str]) -> None:
        self.machine = machine.model_copy(update={"processes": 1})
        self.waiting = [cell for cell in cells if not is_done(cell)]
        self.free: list[str | None] = [devices[index % len(devices)] if devices else None for index in range(jobs)]
        share, asked = max(1, len(os.sched_getaffinity(0)) // jobs), os.environ.get("OMP_NUM_THREADS", "")
        self.threads = min(share, int(asked)) if asked.isdigit() and int(asked) else share
        self.working: dict[int, _Job] = {}
        self.failures: list[Failure] = []
        self.ran: set[str] = set()
        self.total, self.skipped = len(cells), len(cells) - len(self.waiting)
        self.began = time.monotonic()
        hidden = not (sys.stderr.isatty() and self.waiting)
        self.bar = tqdm(total=self.total, initial=self.skipped, unit="cell", disable=hidden, leave=False)
        sleep_while_waiting()  # read as torch is imported, which the process that forks the others does
        self.context = get_context("forkserver")  # a new process for each cell, with torch imported already
        self.context.set_forkserver_preload(["slt_bench.run.preload"])

    def run(self) -> list[Failure]:
        if self.skipped and self.waiting:
            print(f"{self.skipped} of {self.total} cells are done already", flush=True)
        try:
            with self.bar:
                while self.waiting or self.working:
                    self._begin_what_can()
                    for sentinel in connection.wait(list(self.working)) if self.working else ():
                        self._ended(self.working.pop(int(str(sentinel))))
        except (KeyboardInterrupt, Interrupted) as stop:
            self._stop_all()
            kind = Preempted if isinstance(stop, Preempted) else Interrupted
            raise kind(f"stopped with {len(self.waiting)} cells to do; all is saved, and the same command goes on") from None
        return self.failures

    def _begin_what_can(self) -> None:
        for cell in list(self.waiting):
            unfinished = [*self.waiting[: self.waiting.index(cell)], *(job.cell for job in self.working.values())]
            if any(other.id == cell.id for other in unfinished):  # of another table, which computes it
                continue
            if reason := self._hindrance(cell):
                self.waiting.remove(cell)
                self.failures.append(Failure(cell, reason))
            elif _parent_of(cell) in [(other.table, other.id) for other in (*self.waiting, *unfinished)]:
                continue
            elif cell.id in self.ran and take_from_others([cell]):
                self.waiting.remove(cell)
            elif self.free:
                self.waiting.remove(cell)
                self._begin(cell, self.free.pop(0))

    def _hindrance(self, cell: Cell) -> str:
        """Say why a cell cannot have a result any more; empty if it can."""
        for failure in self.failures:
            if failure.cell.id == cell.id:
                return f"it failed in table {failure.cell.table}"
            if (failure.cell.table, failure.cell.id) == _parent_of(cell):
                return f"its ticket comes from {failure.cell.id}, which failed"
        return ""

    def _begin(self, cell: Cell, device: str | None) -> None:
        log = paths.log_file(cell.id)
        log.parent.mkdir(parents=True, exist_ok=True)
        said = log.stat().st_size if log.is_file() else 0
        given = (self.machine, cell, device, self.threads)
        process = self.context.Process(target=_work, args=given, name=cell.id)
        process.start()
        self.working[process.sentinel] = _Job(cell, device, process, time.monotonic(), said)

    def _ended(self, job: _Job) -> None:
        job.process.join()
        self.free.append(job.device)
        self.ran.add(job.cell.id)
        status, log = job.process.exitcode, paths.log_file(job.cell.id)
        last = _last_line(log, job.said)
        if status in _STOPPED:
            self.waiting.append(job.cell)
            raise Preempted
        if status:
            told = status == 2 and last.startswith("error: ")
            reason = last.removeprefix("error: ") if told else f"exit status {status}: {last}"
            self.failures.append(Failure(job.cell, reason, log))
        ended = self.total - len(self.waiting) - len(self.working)
        took, left = time.monotonic() - job.started, self.total - ended
        rate = (time.monotonic() - self.began) / max(1, ended - self.skipped)
        what = f"FAILED {job.cell.id}: {self.failures[-1].reason}" if status else last
        line = f"[{ended}/{self.total}] {what}  {duration(took)}" + (f", {duration(rate * left)} left" if left else "")
        self.bar.write(line, file=sys.stdout)
        sys.stdout.flush()
        self.bar.update(ended - self.bar.n)

    def _stop_all(self) -> None:
        """Every search saves its state; a second Ctrl-C does not wait for that."""
        for job in self.working.values():
            job.process.terminate()
        for job in self.working.values():
            job.process.join()
            self.waiting.append(job.cell)


def _parent_of(cell: Cell) -> tuple[str, str] | None:
    """Table and id of the cell whose ticket this one needs."""
    return (cell.table, cell.source.parent.id) if cell.source.parent else None


def _work(machine: Machine, cell: Cell, device: str | None, threads: int) -> None:
    """What a process does: one cell, everything that it says going to its log."""
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
    """A pool that is killed cannot tell its processes; nobody would hear of what they do."""
    if pool := parent_process():
        connection.wait([pool.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)


def _last_line(log: Path, begin: int) -> str:
    try:
        lines = log.read_bytes()[begin:].decode(errors="replace").strip().splitlines()
    except OSError:
        return "it left no log"
    return lines[-1] if lines else "it said nothing"
