"""MLflow while a search runs."""

from __future__ import annotations

from queue import Queue
from threading import Event, Thread
from typing import Literal

from slt_bench.common.errors import BenchError
from slt_bench.experiment.cell import Cell
from slt_bench.records.code_digest import cell_code
from slt_bench.records.history import Epoch
from slt_bench.tracking.contact import chosen_uri, one_line
from slt_bench.tracking.runs import log_epochs, open_run
from slt_bench.tracking.store import experiment, open_store
from slt_bench.tracking.view import comparison_link

_WAIT_OPEN = 20.0  # seconds at the end: of a store that was there or is ours
_WAIT_UNOPENED = 5.0  # of one elsewhere that has not answered yet


class LiveRun:
    """Tells MLflow of a search while it runs, from a thread of its own: the search never waits for it, nor fails with it.

    Args:
        cell: what is searched; its table names the experiment.
        patience: seconds that a search may take untold: MLflow's own imports would take longer than a short one does, and
            the report tells of that in any case.
    """

    def __init__(self, cell: Cell, patience: float = 15.0) -> None:
        self.link = ""  # to the table's comparison, once the store is open
        self._queue: Queue[Epoch | None] = Queue()
        self._patience, self._closed, self._open = patience, Event(), Event()
        self._cell, self._status = cell, "RUNNING"
        self._left = False  # whether it was not waited for
        self._thread = Thread(target=self._work, daemon=True)
        self._thread.start()

    def epoch(self, epoch: Epoch) -> None:
        """Hand over a finished epoch."""
        self._queue.put(epoch)

    def close(self, status: Literal["RUNNING", "KILLED", "FAILED"] = "RUNNING") -> None:
        """Wait until all is written, but for seconds only. A finished search stays RUNNING until it is evaluated."""
        self._status = status
        self._queue.put(None)
        self._closed.set()
        self._thread.join(_WAIT_OPEN if self._open.is_set() or not chosen_uri() else _WAIT_UNOPENED)
        if self._thread.is_alive():
            self._left = True
            print("note: MLflow takes long and was not waited for; `slt-bench track` makes up for it", flush=True)

    def _work(self) -> None:
        if self._closed.wait(self._patience):
            return
        try:
            with one_line("slt-bench track"):
                self._tell()
        except BenchError as error:  # the files are the truth; a search must not die of its display
            if not self._left:
                print(f"note: {error}", flush=True)

    def _tell(self) -> None:
        client = open_store()
        self._open.set()
        where = experiment(client, self._cell.table)
        self.link = comparison_link(where)
        run = open_run(client, where, self._cell.table, self._cell, cell_code())
        while (epoch := self._queue.get()) is not None:
            log_epochs(client, run.info.run_id, [epoch])
        client.update_run(run.info.run_id, self._status)
