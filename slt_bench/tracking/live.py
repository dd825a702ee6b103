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
from slt_bench.tracking.runs import TableRuns, log_epochs
from slt_bench.tracking.store import experiment, open_store
from slt_bench.tracking.view import how_to_compare

_WAIT_OPEN = 20.0  # seconds at the end, for a store that is open or in the project
_WAIT_UNOPENED = 5.0  # seconds at the end, for a store elsewhere that has not answered yet


class LiveRun:
    """A run that MLflow shows while its search goes on: a thread logs it, so that the search neither waits nor fails with it.

    Args:
        cell: the search's; its table names the experiment.
        patience: seconds before MLflow is first called. Shorter searches are logged by the report: MLflow's imports alone
            would take longer than they do.
    """

    def __init__(self, cell: Cell, patience: float = 15.0) -> None:
        self.comparison = ""  # how to see that of the table, once the store is open
        self._queue: Queue[Epoch | None] = Queue()
        self._patience, self._closed, self._open = patience, Event(), Event()
        self._cell, self._status = cell, "RUNNING"
        self._abandoned = False  # whether the search ended without waiting for the thread
        self._thread = Thread(target=self._work, daemon=True)
        self._thread.start()

    def epoch(self, epoch: Epoch) -> None:
        """Hand over a finished epoch."""
        self._queue.put(epoch)

    def close(self, status: Literal["RUNNING", "KILLED", "FAILED"] = "RUNNING") -> None:
        """Wait until all is logged, but for seconds only; a finished search stays RUNNING until it is evaluated."""
        self._status = status
        self._queue.put(None)
        self._closed.set()
        self._thread.join(_WAIT_OPEN if self._open.is_set() or not chosen_uri() else _WAIT_UNOPENED)
        if self._thread.is_alive():
            self._abandoned = True
            print("note: MLflow takes long and was not waited for; `slt-bench track` makes up for it", flush=True)

    def _work(self) -> None:
        if self._closed.wait(self._patience):
            return
        try:
            with one_line("slt-bench track"):
                self._log()
        except BenchError as error:  # MLflow is a view of the files: a search does not fail with it
            if not self._abandoned:
                print(f"note: {error}", flush=True)

    def _log(self) -> None:
        client, table = open_store(), self._cell.table
        self._open.set()
        runs = TableRuns(client, experiment(client, table), table)
        self.comparison = how_to_compare(runs.experiment_id)
        run = runs.open_run(self._cell, cell_code(self._cell))
        while (epoch := self._queue.get()) is not None:
            log_epochs(client, run.info.run_id, [epoch])
        client.update_run(run.info.run_id, self._status)
