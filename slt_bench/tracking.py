"""MLflow as a view of the result files: rebuilt from them at any time (`live.py` writes it while a search runs).

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
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from slt_bench import paths
from slt_bench.cells import Cell, digest, flatten
from slt_bench.history import QUANTILES, Epoch, read_history

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
    run = open_run(client, experiment_id, table, cell, record["code"], _milliseconds(record["started"]))
    _log_result(client, run.info.run_id, record, metrics, directory)
    if figures:
        _log_confusion(client, run.info.run_id, directory)
    tags = {"result": content, "code_version": record["commit"],
            "data_digest": record["data"]["digest"][:12], "data": record["data"]["origin"]}  # fmt: skip
    for name, value in tags.items():
        client.set_tag(run.info.run_id, name, value)
    client.set_terminated(run.info.run_id, end_time=_milliseconds(record["finished"]))
    return True


def open_run(client: MlflowClient, experiment_id: str, table: str, cell: Cell, code: str, started: int | None = None) -> Run:
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


def log_epochs(client: MlflowClient, run_id: str, epochs: list[Epoch]) -> None:
    """Log the epochs that the run does not have yet (MLflow would append them again)."""
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    known = {metric.step for metric in client.get_metric_history(run_id, "train_top1")}
    metrics = [
        Metric(name, float(value), now, epoch.epoch)
        for epoch in epochs
        if epoch.epoch not in known
        for name, value in _numbers(epoch).items()
    ]
    for start in range(0, len(metrics), 1000):  # the most that one batch may hold
        client.log_batch(run_id, metrics=metrics[start : start + 1000])


def _numbers(epoch: Epoch) -> dict[str, float]:
    """An epoch's metrics; those of layers and quantiles under a name with a slash, by which MLflow groups its charts."""
    values = {name: value for name, value in asdict(epoch).items() if value is not None}
    del values["epoch"]
    layers, quantiles = values.pop("layer_density"), values.pop("score_quantiles")
    values |= {f"score_quantile/{share:02d}": value for share, value in zip(QUANTILES, quantiles, strict=True)}
    return values | {f"layer_density/{number:03d}": density for number, density in enumerate(layers)}


def _log_result(client: MlflowClient, run_id: str, record: dict[str, Any], metrics: dict[str, Any], at: Path) -> None:
    from mlflow.entities import Metric

    final = {f"test_{name}": metrics[name] for name in ("top1", "top5", "loss", "last_top1")}
    final |= {"ticket_bytes": metrics["bytes"], "best_epoch": record["best_epoch"]}
    final |= {"best_val_top1": record["best_val_top1"]} if record["best_val_top1"] is not None else {}
    final |= {name: metrics[name] for name in ("mask_coded_bytes", "mask_bound_bytes") if metrics.get(name) is not None}
    final |= {f"edges_{name}": metrics[name] for name in ("total", "pruned", "locked", "kept")}
    final["seconds"] = sum(record["epoch_seconds"])
    now = int(time.time() * 1000)
    log_epochs(client, run_id, read_history(at / "history.csv"))
    client.log_batch(run_id, metrics=[Metric(name, float(value), now, 0) for name, value in final.items()])


def _log_confusion(client: MlflowClient, run_id: str, directory: Path) -> None:
    from slt_bench.report.figures import confusion_figure

    content = json.loads((directory / "confusion.json").read_text())
    with TemporaryDirectory() as temporary:
        path = Path(temporary) / "confusion.png"
        confusion_figure(content["confusion"], content["classes"], path)
        client.log_artifact(run_id, str(path), "figures")
