"""The pool that runs many cells, several at a time: each has a process and a log, and its failure touches no other."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing import connection, get_context
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from tqdm import tqdm

from slt_bench.common import paths
from slt_bench.common.errors import Interrupted, Preempted
from slt_bench.common.text import duration
from slt_bench.compute.memory import sleep_while_waiting
from slt_bench.experiment.cell import Cell
from slt_bench.params.machine import Machine
from slt_bench.records.shared import take_from_others
from slt_bench.records.standing import image_digests, is_done
from slt_bench.run.worker import last_line, work

_STOPPED = (Interrupted.status, Preempted.status, -signal.SIGINT, -signal.SIGTERM)


@dataclass(frozen=True)
class Failure:
    """A cell without a result, and the reason."""

    cell: Cell
    reason: str
    log: Path | None = None  # None if the cell was never begun


@dataclass(frozen=True)
class _Job:
    """A cell that runs."""

    cell: Cell
    device: str | None
    process: ForkServerProcess
    started: float
    log_offset: int  # bytes of its log before it began


def run_cells(machine: Machine, cells: Sequence[Cell], jobs: int, devices: Sequence[str] = ()) -> list[Failure]:
    """Run the cells that are not done, several at a time, each on one of the devices.

    A child waits for its parent. On a CPU each process has its share of the cores, or fewer if OMP_NUM_THREADS says so.

    Args:
        machine: how this machine runs searches; only a cell that runs alone, on no chosen device, gets several processes.
        cells: the cells, done or not.
        jobs: cells at a time, 1 or more.
        devices: CUDA devices, by number or name, shared out in turn; if empty, every cell sees all.

    Returns:
        The cells that failed.

    Raises:
        Interrupted: Ctrl-C, or SIGTERM (`Preempted`); every search has saved its state, and the same command goes on.
    """
    return _Pool(machine, cells, jobs, devices).run()


class _Pool:
    def __init__(self, machine: Machine, cells: Sequence[Cell], jobs: int, devices: Sequence[str]) -> None:
        alone = jobs == 1 and not devices  # with all devices to itself, a search may have several processes
        self.machine = machine if alone else machine.model_copy(update={"processes": 1})
        images = image_digests(cells)
        self.waiting = [cell for cell in cells if not is_done(cell, images[cell.dataset_name])]
        self.free_devices: list[str | None] = [devices[index % len(devices)] if devices else None for index in range(jobs)]
        share, limit = max(1, len(os.sched_getaffinity(0)) // jobs), os.environ.get("OMP_NUM_THREADS", "")
        self.threads = min(share, int(limit)) if limit.isdigit() and int(limit) else share
        self.running: dict[int, _Job] = {}  # by the sentinel of its process
        self.failures: list[Failure] = []
        self.ended_ids: set[str] = set()
        self.total, self.done_before = len(cells), len(cells) - len(self.waiting)
        self.began = time.monotonic()
        hidden = not (sys.stderr.isatty() and self.waiting)
        self.bar = tqdm(total=self.total, initial=self.done_before, unit="cell", disable=hidden, leave=False)
        sleep_while_waiting()  # before torch is imported, which happens in the process that forks the others
        self.context = get_context("forkserver")  # a new process for each cell, with torch imported already
        self.context.set_forkserver_preload(["slt_bench.run.preload"])

    def run(self) -> list[Failure]:
        if self.done_before and self.waiting:
            print(f"{self.done_before} of {self.total} cells are done already", flush=True)
        try:
            with self.bar:
                while self.waiting or self.running:
                    self._begin_ready()
                    for sentinel in connection.wait(list(self.running)) if self.running else ():
                        self._end(self.running.pop(int(str(sentinel))))
        except (KeyboardInterrupt, Interrupted) as stop:
            self._stop_all()
            kind = Preempted if isinstance(stop, Preempted) else Interrupted
            raise kind(f"stopped with {len(self.waiting)} cells to do; all is saved, and the same command goes on") from None
        return self.failures

    def _begin_ready(self) -> None:
        """Begin the cells that wait for no other cell, as far as devices are free."""
        for cell in list(self.waiting):
            unfinished = [*self.waiting[: self.waiting.index(cell)], *(job.cell for job in self.running.values())]
            if any(other.id == cell.id for other in unfinished):  # another table has the cell too, and computes it
                continue
            if reason := self._obstacle(cell):
                self.waiting.remove(cell)
                self.failures.append(Failure(cell, reason))
            elif _parent_of(cell) in [(other.table, other.id) for other in (*self.waiting, *unfinished)]:
                continue
            elif cell.id in self.ended_ids and take_from_others([cell]):
                self.waiting.remove(cell)
            elif self.free_devices:
                self.waiting.remove(cell)
                self._begin(cell, self.free_devices.pop(0))

    def _obstacle(self, cell: Cell) -> str:
        """Return the reason why a cell cannot have a result any more; empty if it can."""
        for failure in self.failures:
            if failure.cell.id == cell.id:
                return f"it failed in table {failure.cell.table}"
            if (failure.cell.table, failure.cell.id) == _parent_of(cell):
                return f"its ticket comes from {failure.cell.id}, which failed"
        return ""

    def _begin(self, cell: Cell, device: str | None) -> None:
        log = paths.log_file(cell.id)
        log.parent.mkdir(parents=True, exist_ok=True)
        log_offset = log.stat().st_size if log.is_file() else 0
        process = self.context.Process(target=work, args=(self.machine, cell, device, self.threads), name=cell.id)
        process.start()
        self.running[process.sentinel] = _Job(cell, device, process, time.monotonic(), log_offset)

    def _end(self, job: _Job) -> None:
        """Note the outcome of a process that has ended; one that was stopped stops the pool."""
        job.process.join()
        self.free_devices.append(job.device)
        self.ended_ids.add(job.cell.id)
        status, log = job.process.exitcode, paths.log_file(job.cell.id)
        line = last_line(log, job.log_offset)
        if status in _STOPPED:
            self.waiting.append(job.cell)
            raise Preempted
        if status:
            is_explained = status == 2 and line.startswith("error: ")
            reason = line.removeprefix("error: ") if is_explained else f"exit status {status}: {line}"
            self.failures.append(Failure(job.cell, reason, log))
            line = f"FAILED {job.cell.id}: {reason}"
        self._report(line, time.monotonic() - job.started)

    def _report(self, outcome: str, seconds: float) -> None:
        """Print the outcome of a cell, the seconds that it took, and the time that is left."""
        ended = self.total - len(self.waiting) - len(self.running)
        left = self.total - ended
        rate = (time.monotonic() - self.began) / max(1, ended - self.done_before)
        rest = f", {duration(rate * left)} left" if left else ""
        self.bar.write(f"[{ended}/{self.total}] {outcome}  {duration(seconds)}{rest}", file=sys.stdout)
        sys.stdout.flush()
        self.bar.update(ended - self.bar.n)

    def _stop_all(self) -> None:
        """Stop all processes, and wait until each has saved its state; a second Ctrl-C does not wait."""
        for job in self.running.values():
            job.process.terminate()
        for job in self.running.values():
            job.process.join()
            self.waiting.append(job.cell)


def _parent_of(cell: Cell) -> tuple[str, str] | None:
    """Return the table and the id of a cell's parent; None without a parent."""
    return (cell.table, cell.source.parent.id) if cell.source.parent else None
