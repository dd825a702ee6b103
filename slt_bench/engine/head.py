"""The head of a run: it hands families of cells to an executor, takes their results in, and tells how far they are."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, replace
from queue import Empty, SimpleQueue

from slt_bench.common.errors import Interrupted, Preempted
from slt_bench.common.libraries import first_line
from slt_bench.engine.executors import Engine
from slt_bench.engine.job import Files, Job, Note, Outcome, Report, read_results, write_results
from slt_bench.engine.process import run_job
from slt_bench.engine.progress import Progress
from slt_bench.engine.setbacks import MOST_LOSSES, Losses, Refusals
from slt_bench.engine.worker import results_here
from slt_bench.experiment.cell import Cell
from slt_bench.records.shared import set_edited_aside

_TICK = 0.5  # seconds between looks at the queue, so that signals are noticed
_GRACE = 5.0  # seconds for workers that were told to stop at once
Key = tuple[str, str]  # the table and id of a cell


@dataclass(frozen=True)
class Failure:
    """A cell without a result, and the reason."""

    cell: Cell
    reason: str
    log: str | None = None  # None if the cell was never begun


def run_jobs(jobs: Sequence[Job], engine: Engine, progress: Progress, do: Callable[..., Report] = run_job) -> list[Failure]:
    """Run jobs by an executor until each of their cells has ended.

    A job whose worker is lost, or refuses it, goes out again, without the cells that are done. A cell that loses its worker
    three times without having got on has failed, and so have its children.

    Args:
        jobs: families of cells that are left.
        engine: the executor and the channel to its workers.
        progress: where to tell how far they are.
        do: what a worker does with a job, the line to the head, and, on this machine, a device.

    Returns:
        The cells that failed.

    Raises:
        Interrupted: Ctrl-C, or SIGTERM (`Preempted`); every search has saved its state, and the same command goes on.
    """
    return _Head(jobs, engine, progress, do).run()


class _Head:
    def __init__(self, jobs: Sequence[Job], engine: Engine, progress: Progress, do: Callable[..., Report]) -> None:
        self.engine, self.progress, self.do = engine, progress, do
        self.jobs = list(jobs)
        self.left: dict[Key, Cell] = {(cell.table, cell.id): cell for job in jobs for cell in job.cells}
        self.failures: list[Failure] = []
        self.inbox: SimpleQueue[Note | tuple[int, Future[Report]]] = SimpleQueue()
        self.running: dict[int, Future[Report]] = {}  # by the number of the job
        self.losses, self.refusals = Losses(), Refusals()
        self.is_stopping = False

    def run(self) -> list[Failure]:
        """Hand all jobs out, and take in what comes until none runs."""
        self.engine.channel.listen(self.inbox.put)
        try:
            self._fetch()
            for number in range(len(self.jobs)):
                self._submit(number)
            while self.running:
                self._receive()
        except (KeyboardInterrupt, Interrupted) as stop:
            goes_on = "all is saved, and the same command goes on"
            if not self._stop_all():
                goes_on = "the same command goes on from what searches had saved before"
            kind = Preempted if isinstance(stop, Preempted) else Interrupted
            raise kind(f"stopped with {len(self.left)} cells to do; {goes_on}") from None
        except BaseException:  # the head itself cannot go on, as when nobody reads what it prints: nor need the searches
            self._ask_to_stop()
            raise
        return self.failures

    def _fetch(self) -> None:
        """Take in what workers with disks of their own have finished for a head that has died since."""
        for results in self.engine.everywhere(results_here, self.jobs):
            self._write(results)
            for cell in [cell for cell in self.left.values() if str(cell.directory) in results]:
                self._end(Outcome(cell.table, cell.id, "done", f"{cell.id}  was finished by a worker before", 0.0), "")

    def _write(self, results: Files) -> None:
        """Write results that a worker had on a disk of its own; those of other parameters are set aside before."""
        for cell in self.left.values():
            if str(cell.directory) in results:
                set_edited_aside(cell)
        write_results(results)

    def _submit(self, number: int) -> None:
        """Hand a job, as far as it is left, to the executor, with the results of parents that are done."""
        job = self.jobs[number]
        cells = tuple(cell for cell in job.cells if (cell.table, cell.id) in self.left)
        if not cells:
            return
        parents = {cell.parent_directory for cell in cells if cell.parent_directory} - {cell.directory for cell in cells}
        job = replace(job, cells=cells, parents=read_results(parents) if self.engine.has_own_disks else {})
        try:
            future = self.engine.executor.submit(self.do, job, self.engine.channel.line)
        except RuntimeError as broken:  # an executor that takes no more jobs
            future = Future()
            future.set_exception(broken)
        self.running[number] = future
        future.add_done_callback(lambda future: self.inbox.put((number, future)))

    def _receive(self) -> None:
        try:
            message = self.inbox.get(timeout=_TICK)
        except Empty:
            self.progress.refresh()
            return
        if isinstance(message, Note):
            self._hear(message)
            return
        number, future = message
        if self.running.get(number) is future:
            del self.running[number]
            self._take(number, future)
            if not self.is_stopping:
                self._submit(number)

    def _hear(self, note: Note) -> None:
        """Note that a cell has ended, or has begun: if it had begun elsewhere, the executor has lost that worker."""
        if note.outcome:
            if note.outcome.kind in ("done", "failed"):  # the report counts losses
                self._end(note.outcome, note.where)
        elif any(cell_id == note.cell_id for _, cell_id in self.left):
            self.refusals.end_row()
            before = self.progress.running.get(note.cell_id)
            if before is not None:
                lost = f": {before} is lost" if before != note.where else ""
                self.progress.say(f"{note.cell_id} begins again on {note.where}{lost}")
            self.progress.begin(note.cell_id, note.where)

    def _take(self, number: int, future: Future[Report]) -> None:
        """Take the report of a job in; an error of the executor means that its worker is lost."""
        first = next(((cell.table, cell.id) for cell in self.jobs[number].cells if (cell.table, cell.id) in self.left), None)
        error = CancelledError("the executor cancelled it") if future.cancelled() else future.exception()
        if error is not None:
            for cell in self.jobs[number].cells:
                self.progress.end(cell.id)
            if first:
                self._lose(first, first_line(error).partition(". ")[0])
            return
        report = future.result()
        if report.refused:
            self._refuse(number, report)
            return
        self.refusals.end_row()
        self._write(report.files)
        for outcome in report.outcomes:
            self._end(outcome, report.where)
        if not report.outcomes and first:
            self._lose(first, "its process ended before it began")

    def _refuse(self, number: int, report: Report) -> None:
        worker = report.where or "this machine"
        if self.refusals.add(number, worker, report.refused):
            self.progress.say(f"{worker} is refused: {report.refused}")
        if self.refusals.are_by_all((number, *self.running)) or not report.where:
            for cell in self.jobs[number].cells:
                if (cell.table, cell.id) in self.left:
                    self._fail((cell.table, cell.id), f"refused by {worker}: {report.refused}")

    def _end(self, outcome: Outcome, where: str) -> None:
        """Note the outcome of a cell, which may be known already."""
        if outcome.key not in self.left:
            return
        self.progress.end(outcome.cell_id)
        match outcome.kind:
            case "done":
                del self.left[outcome.key]
                self.progress.tell(outcome.line, outcome.seconds, where)
            case "failed":
                self._fail(outcome.key, outcome.line, outcome.log, outcome.seconds, where)
            case "lost" | "stopped":  # this run has not asked for it
                self._lose(outcome.key, outcome.line, where)

    def _lose(self, key: Key, reason: str, where: str = "") -> None:
        """Note that a cell has lost its worker; the third time, without having got on since, it has failed."""
        if self.is_stopping:  # then all lose theirs
            return
        cell = self.left[key]
        times = self.losses.add(cell)
        self.progress.end(cell.id)
        if times >= MOST_LOSSES:
            self._fail(key, f"lost its worker {times} times without getting on; the last time {reason}")
            for child in [key for key, other in self.left.items() if other.source.parent and other.source.parent.id == cell.id]:
                self._fail(child, f"its ticket comes from {cell.id}, which failed")
        else:
            self.progress.say(f"{cell.id} goes out again{f', {where} is lost' if where else ''}: {reason}")

    def _fail(self, key: Key, reason: str, log: str | None = None, seconds: float = 0.0, where: str = "") -> None:
        cell = self.left.pop(key)
        self.failures.append(Failure(cell, reason, log))
        self.progress.tell(f"FAILED {cell.id}: {reason}", seconds, where)

    def _ask_to_stop(self) -> None:
        """Ask all searches to save their state and stop, and take back the jobs that no worker has begun."""
        self.engine.channel.ask("stop")
        for number, future in list(self.running.items()) if self.engine.channel.has_notes else ():
            if not any(cell.id in self.progress.running for cell in self.jobs[number].cells):
                future.cancel()  # else a stop would wait for a worker to come; one that runs saves its state first

    def _stop_all(self) -> bool:
        """Stop all jobs, and return whether each search has saved its state; a second Ctrl-C does not wait for that."""
        self.is_stopping, waits = True, True
        try:
            self._ask_to_stop()
            while self.running:
                self._receive()
        except (KeyboardInterrupt, Interrupted):
            waits = False
            self.engine.channel.ask("now")
            end = time.monotonic() + _GRACE
            while self.running and time.monotonic() < end:
                self._receive()
        for future in self.running.values():
            future.cancel()
        return waits
