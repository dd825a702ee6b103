"""A job in a fresh process: started, watched and stopped by a thread of the worker, as an executor calls it."""

from __future__ import annotations

import time
from multiprocessing import connection, current_process, get_context
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from threading import Lock
from typing import Any

from slt_bench.compute.memory import sleep_while_waiting
from slt_bench.engine.channel import Line, Request
from slt_bench.engine.job import Files, Job, Note, Outcome, Report
from slt_bench.engine.worker import serve
from slt_bench.experiment.cell import Cell

_POLL = 0.2  # seconds between looks at what the head asks for
_PAUSE = 1.0  # seconds that a refusal takes, so that other workers take the jobs
_starting = Lock()


def run_job(job: Job, line: Line, device: str | None = None) -> Report:
    """Run a job in a fresh process, which ends with this one.

    Args:
        job: the cells.
        line: to the head.
        device: CUDA device to use; all that are visible if None.

    Returns:
        The outcomes. A cell whose process died is `lost`; those after it have none.
    """
    where = line.worker
    if line.request():
        return Report(where)
    watch = _Watch(job, line, where)
    process, messages = _start(job, device)
    with messages:
        try:
            watch.follow(process, messages)
        except BaseException:  # the head cannot be asked any more
            process.terminate()
            process.join()
            raise
    if watch.refused:
        time.sleep(_PAUSE)
    return Report(where, tuple(watch.outcomes), watch.refused, watch.files)


def _start(job: Job, device: str | None) -> tuple[ForkServerProcess, Connection]:
    sleep_while_waiting()  # before torch is imported, which happens in the process that forks the others
    context = get_context("forkserver")
    context.set_forkserver_preload([job.work.imports])
    messages, sender = context.Pipe(duplex=False)
    process = context.Process(target=serve, args=(job, device, sender), daemon=True)
    with _starting:
        if current_process().daemon:  # as workers of dask are; ours end with their parent, so they may have children
            current_process().daemon = False
        process.start()
    sender.close()
    return process, messages


class _Watch:
    """The watch over a process: passes the head's requests on to it, and its messages to the head."""

    def __init__(self, job: Job, line: Line, where: str) -> None:
        self.job, self.line, self.where = job, line, where
        self.outcomes: list[Outcome] = []
        self.refused = ""
        self.files: Files = {}
        self.request: Request = ""
        self.under_way: tuple[Cell, float] | None = None  # the cell that runs, and when it began

    def follow(self, process: ForkServerProcess, messages: Connection) -> None:
        """Wait for the end of the process."""
        talks = True
        while talks or process.is_alive():
            ready = connection.wait([messages] if talks else [process.sentinel], timeout=_POLL)
            if talks and ready:
                try:
                    self._hear(messages.recv())
                except (EOFError, OSError):  # it has ended, or was killed, maybe in the middle of a message
                    talks = False
            self._pass_on(process)
        process.join()
        if self.under_way:
            self._lost(*self.under_way, process.exitcode)

    def _hear(self, message: Any) -> None:
        match message:
            case str():
                self.refused = message
            case dict():
                self.files |= message
            case Outcome():
                self.under_way = None
                self.outcomes.append(message)
                if not self.files:  # else it is done once the report, with the files, has come
                    self.line.tell(Note(message.cell_id, self.where, message))
            case int():
                cell = self.job.cells[message]
                self.under_way = (cell, time.monotonic())
                self.line.tell(Note(cell.id, self.where))

    def _pass_on(self, process: ForkServerProcess) -> None:
        """Pass a new request of the head on to the process."""
        request = self.line.request()
        if request in ("", self.request):
            return
        self.request = request
        if request == "now":
            process.kill()
        else:
            process.terminate()

    def _lost(self, cell: Cell, began: float, exitcode: int | None) -> None:
        reason = f"its process died with status {exitcode}" + (" (out of memory?)" if exitcode == -9 else "")
        kind = "stopped" if self.request else "lost"
        self.outcomes.append(Outcome(cell.table, cell.id, kind, reason, time.monotonic() - began))  # type: ignore[arg-type]
