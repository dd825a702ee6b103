"""MLflow as a view of the result files: written live while a search runs, and rebuilt from the files at any time.

One experiment per table, one run per cell; the tag `cell` is what a run is found by.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import time
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from queue import Queue
from tempfile import TemporaryDirectory
from threading import Thread
from typing import TYPE_CHECKING, Any, Literal

from slt_bench import paths
from slt_bench.cells import Cell, digest, flatten
from slt_bench.history import Epoch, read_history
from slt_bench.record import code_digest

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run


def store_uri() -> str:
    """MLFLOW_TRACKING_URI, or the SQLite file in the project's root."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{paths.MLFLOW_STORE}"


def open_store() -> MlflowClient:
    """A client of the store; the first to come creates it, while others wait (parallel creation breaks SQLite stores)."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    from mlflow import MlflowClient

    logging.getLogger("mlflow").setLevel(logging.WARNING)
    paths.STATE.mkdir(exist_ok=True)
    with (paths.STATE / "mlflow.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        client = MlflowClient(store_uri())
        client.search_experiments(max_results=1)  # creates the schema
    return client


def experiment(client: MlflowClient, table: str) -> str:
    """Id of a table's experiment, made where it is missing."""
    with (paths.STATE / "mlflow.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = client.get_experiment_by_name(table)
        return str(found.experiment_id) if found else str(client.create_experiment(table))


def comparison_link(experiment_id: str) -> str:
    """Where `mlflow ui` compares the runs of a table."""
    return f"http://127.0.0.1:5000/#/experiments/{experiment_id}/runs?compareRunsMode=CHART"


class LiveRun:
    """Tells MLflow of a search while it runs, from a thread of its own: the search never waits for it, nor fails with it."""

    def __init__(self, table: str, cell: Cell) -> None:
        self.link = ""  # to the table's comparison, once the store is open
        self._queue: Queue[Epoch | None] = Queue()
        self._table, self._cell, self._status = table, cell, "RUNNING"
        self._thread = Thread(target=self._work, daemon=True)
        self._thread.start()

    def epoch(self, epoch: Epoch) -> None:
        """Hand over a finished epoch."""
        self._queue.put(epoch)

    def close(self, status: Literal["RUNNING", "KILLED", "FAILED"] = "RUNNING") -> None:
        """Wait until all is written, but not for ever. A finished search stays RUNNING until it is evaluated."""
        self._status = status
        self._queue.put(None)
        self._thread.join(timeout=60)

    def _work(self) -> None:
        try:
            client = open_store()
            where = experiment(client, self._table)
            self.link = comparison_link(where)
            run = _open_run(client, where, self._table, self._cell, code_digest("slt_bench.search"))
            while (epoch := self._queue.get()) is not None:
                _log_epochs(client, run.info.run_id, [epoch])
            client.update_run(run.info.run_id, self._status)
        except Exception as error:  # the files are the truth; a search must not die of its display
            print(f"note: MLflow could not be written ({error}); `slt-bench track` makes up for it", flush=True)


def track(table: str, cells: list[Cell], figures: bool = True) -> tuple[str, int]:
    """Bring a table's experiment up to date with the result files; returns its id and how many runs were written."""
    client = open_store()
    experiment_id = experiment(client, table)
    written = sum(_track_cell(client, experiment_id, table, cell, figures) for cell in cells)
    return experiment_id, written


def _track_cell(client: MlflowClient, experiment_id: str, table: str, cell: Cell, figures: bool) -> bool:
    directory = paths.cell_dir(cell.id)
    try:
        record = json.loads((directory / "search.json").read_text())
        metrics = json.loads((directory / "metrics.json").read_text())
    except FileNotFoundError:
        return False
    if record["identity"] != cell.identity:
        return False  # of other parameters under the same name
    content = digest([record, metrics])
    if [run.data.tags.get("result") for run in _runs(client, experiment_id, cell)] == [content]:
        return False
    run = _open_run(client, experiment_id, table, cell, record["code"], _milliseconds(record["started"]))
    _log_result(client, run.info.run_id, record, metrics, directory)
    if figures:
        _log_confusion(client, run.info.run_id, directory)
    tags = {"result": content, "code_version": record["commit"],
            "data_digest": record["data"]["digest"][:12], "data": record["data"]["origin"]}  # fmt: skip
    for name, value in tags.items():
        client.set_tag(run.info.run_id, name, value)
    client.set_terminated(run.info.run_id, end_time=_milliseconds(record["finished"]))
    return True


def _open_run(client: MlflowClient, experiment_id: str, table: str, cell: Cell, code: str, started: int | None = None) -> Run:
    """The run of this very search that has no result yet (one that goes on), or a new one in place of older ones."""
    runs = _runs(client, experiment_id, cell)
    for run in runs:
        tags = run.data.tags
        if "result" not in tags and (tags.get("identity"), tags.get("code")) == (cell.identity, code):
            client.update_run(run.info.run_id, "RUNNING")
            return run
    for run in runs:
        client.delete_run(run.info.run_id)
    return _create(client, experiment_id, table, cell, code, started)


def _runs(client: MlflowClient, experiment_id: str, cell: Cell) -> list[Run]:
    return list(client.search_runs([experiment_id], f"tags.cell = '{cell.id}'"))


def _create(client: MlflowClient, experiment_id: str, table: str, cell: Cell, code: str, started: int | None) -> Run:
    from mlflow.entities import Param

    tags = {"table": table, "cell": cell.id, "setting": cell.setting, "identity": cell.identity, "code": code,
            "source": cell.source.kind, "search": cell.search_name, "seed": str(cell.seed),
            "mlflow.source.name": "slt-bench"}  # fmt: skip
    name = f"{cell.search_name} {cell.source.id} s{cell.sparsity:g} seed{cell.seed}"
    run = client.create_run(experiment_id, start_time=started, run_name=name, tags=tags)
    params = [Param(key, str(value)) for key, value in flatten(cell.model_dump(mode="json")).items()]
    client.log_batch(run.info.run_id, params=params)
    return run


def _milliseconds(moment: str) -> int:
    return int(datetime.fromisoformat(moment).timestamp() * 1000)


def _log_epochs(client: MlflowClient, run_id: str, epochs: list[Epoch]) -> None:
    """Log the epochs that the run does not have yet (MLflow would append them again)."""
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    known = {metric.step for metric in client.get_metric_history(run_id, "val_top1")}
    metrics = [
        Metric(name, float(value), now, epoch.epoch)
        for epoch in epochs
        if epoch.epoch not in known
        for name, value in asdict(epoch).items()
        if name != "epoch"
    ]
    for start in range(0, len(metrics), 1000):  # the most that one batch may hold
        client.log_batch(run_id, metrics=metrics[start : start + 1000])


def _log_result(client: MlflowClient, run_id: str, record: dict[str, Any], metrics: dict[str, Any], at: Path) -> None:
    from mlflow.entities import Metric

    final = {f"test_{name}": metrics[name] for name in ("top1", "top5", "loss", "last_top1")}
    final |= {"ticket_bytes": metrics["bytes"], "best_epoch": record["best_epoch"], "best_val_top1": record["best_val_top1"]}
    final |= {f"edges_{name}": metrics[name] for name in ("total", "pruned", "locked", "kept")}
    final["seconds"] = sum(record["epoch_seconds"])
    now = int(time.time() * 1000)
    _log_epochs(client, run_id, read_history(at / "history.csv"))
    client.log_batch(run_id, metrics=[Metric(name, float(value), now, 0) for name, value in final.items()])


def _log_confusion(client: MlflowClient, run_id: str, directory: Path) -> None:
    from slt_bench.report.figures import confusion_figure

    content = json.loads((directory / "confusion.json").read_text())
    with TemporaryDirectory() as temporary:
        path = Path(temporary) / "confusion.png"
        confusion_figure(content["confusion"], content["classes"], path)
        client.log_artifact(run_id, str(path), "figures")
