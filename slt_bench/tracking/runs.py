"""Runs from result files, without duplicates: a cell's run is found by its tag `cell`, a setting's mean by its tag `mean`."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from statistics import mean, stdev
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from slt_bench import paths
from slt_bench.cell import Cell, digest
from slt_bench.cells import flatten, grouped
from slt_bench.history import QUANTILES, Epoch
from slt_bench.report.lines import Result, read_result
from slt_bench.tracking.store import alone, experiment, open_store
from slt_bench.tracking.view import colour, share_view

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run


def track(table: str, cells: list[Cell], figures: bool = True) -> tuple[str, int]:
    """Bring a table's experiment up to date with the result files; returns its id and how many cells' runs were written."""
    client = open_store()
    experiment_id = experiment(client, table)
    share_view(client, experiment_id)
    found = client.search_runs([experiment_id], max_results=50_000)
    known = grouped(found, lambda run: run.data.tags.get("cell", run.data.tags.get("mean", "")))
    results = [result for cell in cells if (result := read_result(cell)) is not None]
    current = {key for result in results for key in (result.cell.id, result.cell.setting)}
    for run in found:  # what has a result that this table has no more
        if "result" in run.data.tags and not current & {run.data.tags.get("cell"), run.data.tags.get("mean")}:
            client.delete_run(run.info.run_id)
    written = 0
    for result in results:
        runs = known.get(result.cell.id, [])
        if [run.data.tags.get("result") for run in runs] != [_digest(result)]:
            _write(client, experiment_id, table, result, runs)
            written += 1
    for setting, seeds in grouped(results, lambda result: result.cell.setting).items():
        if not any(run.data.tags.get("result") == digest(list(map(_digest, seeds))) for run in known.get(setting, [])):
            _write_mean(client, experiment_id, table, seeds, figures)
    return experiment_id, written


def open_run(client: MlflowClient, experiment_id: str, table: str, cell: Cell, code: str, started: int | None = None) -> Run:
    """The run of this very search that has no result yet (one that goes on), or a new one in place of older ones."""
    runs = list(client.search_runs([experiment_id], f"tags.cell = '{cell.id}'"))
    return _run_of(client, experiment_id, table, cell, code, started, runs)


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


def _run_of(
    client: MlflowClient, experiment_id: str, table: str, cell: Cell, code: str, started: int | None, runs: Sequence[Run]
) -> Run:
    for run in runs:
        tags = run.data.tags
        if "result" not in tags and (tags.get("identity"), tags.get("code")) == (cell.identity, code):
            client.update_run(run.info.run_id, "RUNNING")
            return run
    for run in runs:
        client.delete_run(run.info.run_id)
    parent = _mean_run(client, experiment_id, table, cell, started)
    tags = _tags(table, cell) | {"cell": cell.id, "identity": cell.identity, "code": code, "seed": str(cell.seed),
                                 "mlflow.parentRunId": parent.info.run_id}  # fmt: skip
    return _create(client, experiment_id, f"{_name(cell)} seed{cell.seed}", tags, cell.model_dump(mode="json"), started)


def _mean_run(client: MlflowClient, experiment_id: str, table: str, cell: Cell, started: int | None) -> Run:
    """The run that stands for all seeds; made once, whoever comes first, and again for other parameters under the same name."""
    parameters = cell.model_dump(mode="json", exclude={"seed"})
    identity = digest(parameters)
    with alone():
        for run in client.search_runs([experiment_id], f"tags.mean = '{cell.setting}'"):
            if run.data.tags.get("identity") == identity:
                return run
            client.delete_run(run.info.run_id)
        tags = _tags(table, cell) | {"mean": cell.setting, "identity": identity}
        return _create(client, experiment_id, _name(cell), tags, parameters, started)


def _name(cell: Cell) -> str:
    return f"{cell.search_name} {cell.source.id} s{cell.sparsity:g} {cell.network_name} {cell.dataset_name}"


def _tags(table: str, cell: Cell) -> dict[str, str]:
    return {"table": table, "setting": cell.setting, "source": cell.source.kind, "search": cell.search_name,
            "network": cell.network_name, "dataset": cell.dataset_name, "mlflow.source.name": "slt-bench",
            "mlflow.runColor": colour(cell)}  # fmt: skip


def _create(
    client: MlflowClient, experiment_id: str, name: str, tags: dict[str, str], parameters: dict[str, Any], started: int | None
) -> Run:
    from mlflow.entities import Param

    run = client.create_run(experiment_id, start_time=started, run_name=name, tags=tags)
    client.log_batch(run.info.run_id, params=[Param(key, str(value)) for key, value in flatten(parameters).items()])
    return run


def _write(client: MlflowClient, experiment_id: str, table: str, result: Result, runs: Sequence[Run]) -> None:
    """A cell's run, whole."""
    record, started = result.record, _milliseconds(result.record["started"])
    run_id = _run_of(client, experiment_id, table, result.cell, record["code"], started, runs).info.run_id
    log_epochs(client, run_id, result.history)
    tags = {"result": _digest(result), "code_version": record["commit"],
            "data_digest": record["data"]["digest"][:12], "data": record["data"]["origin"]}  # fmt: skip
    _log(client, run_id, _outcome(result), tags)
    client.set_terminated(run_id, end_time=_milliseconds(record["finished"]))


def _write_mean(client: MlflowClient, experiment_id: str, table: str, results: list[Result], figures: bool) -> None:
    started = min(_milliseconds(result.record["started"]) for result in results)
    run_id = _mean_run(client, experiment_id, table, results[0].cell, started).info.run_id
    outcomes = [_outcome(result) for result in results]
    series = {name: [outcome[name] for outcome in outcomes if name in outcome] for name in outcomes[0]}
    numbers = {name: mean(values) for name, values in series.items()} | {"seeds": float(len(results))}
    numbers |= {f"{name}_std": stdev(series[name]) for name in ("test_top1", "ticket_bytes") if len(results) > 1}
    _log(client, run_id, numbers, {"result": digest(list(map(_digest, results)))})
    if figures:
        _log_confusion(client, run_id, results)
    client.set_terminated(run_id, end_time=max(_milliseconds(result.record["finished"]) for result in results))


def _digest(result: Result) -> str:
    return digest([result.record, result.metrics])


def _outcome(result: Result) -> dict[str, float]:
    """What came out, by the names under which MLflow shows it."""
    record, metrics = result.record, result.metrics
    found = {f"test_{name}": metrics[name] for name in ("top1", "top5", "loss", "last_top1")}
    found |= {
        "ticket_bytes": metrics["bytes"],
        "ticket_coded_bytes": metrics.get("coded_bytes"),
        "best_epoch": record["best_epoch"],
        "seconds": sum(record["epoch_seconds"]),
    }
    found |= {"best_val_top1": record["best_val_top1"], "dying_edge_ratio": record["dying_edge_ratio"]}
    found |= {name: metrics.get(name) for name in ("mask_coded_bytes", "mask_bound_bytes")}
    found |= {f"edges_{name}": metrics[name] for name in ("total", "pruned", "locked", "kept")}
    found |= {"sparsity": result.cell.sparsity, "freezing_ratio": result.cell.source.freezing_ratio}
    return {name: float(value) for name, value in found.items() if value is not None}


def _log(client: MlflowClient, run_id: str, numbers: dict[str, float], tags: dict[str, str]) -> None:
    from mlflow.entities import Metric, RunTag

    now = int(time.time() * 1000)
    metrics = [Metric(name, value, now, 0) for name, value in numbers.items()]
    client.log_batch(run_id, metrics=metrics, tags=[RunTag(name, value) for name, value in tags.items()])


def _milliseconds(moment: str) -> int:
    return int(datetime.fromisoformat(moment).timestamp() * 1000)


def _numbers(epoch: Epoch) -> dict[str, float]:
    """An epoch's metrics; those of layers and quantiles under a name with a slash, by which MLflow groups its charts."""
    values = {name: value for name, value in asdict(epoch).items() if value is not None}
    for name in ("epoch", "sparsity"):  # the steps; what the cell asks for
        del values[name]
    layers, quantiles = values.pop("layer_density"), values.pop("score_quantiles")
    values |= {f"score_quantile/{share:02d}": value for share, value in zip(QUANTILES, quantiles, strict=True)}
    return values | {f"layer_density/{number:03d}": density for number, density in enumerate(layers)}


def _log_confusion(client: MlflowClient, run_id: str, results: list[Result]) -> None:
    """Over all seeds."""
    from slt_bench.report.figures import confusion_figure

    found = [json.loads((paths.cell_dir(result.cell.id) / "confusion.json").read_text()) for result in results]
    rows = zip(*(each["confusion"] for each in found), strict=True)
    total = [[sum(counts) for counts in zip(*row, strict=True)] for row in rows]
    with TemporaryDirectory() as temporary:
        path = Path(temporary) / "confusion.png"
        confusion_figure(total, found[0]["classes"], path)
        client.log_artifact(run_id, str(path), "figures")
