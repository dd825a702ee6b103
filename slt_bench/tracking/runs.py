"""Runs from result files, without duplicates: a cell's run is found by its tag `cell`, a setting's mean by its tag `mean`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any

from slt_bench.common.text import digest, flatten, grouped
from slt_bench.experiment.cell import Cell
from slt_bench.records.history import Epoch
from slt_bench.records.result import Result, read_results
from slt_bench.tracking.contact import one_line
from slt_bench.tracking.pictures import log_confusion
from slt_bench.tracking.store import alone, experiment, open_store
from slt_bench.tracking.values import epoch_numbers, milliseconds, outcome, result_digest, run_name, tags_of
from slt_bench.tracking.view import share_view

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run


def track(table: str, cells: list[Cell], figures: bool = True) -> tuple[str, int]:
    """Bring a table's experiment up to date with the result files; returns its id and how many cells' runs were written.

    Raises:
        BenchError: MLflow is not installed, or its store is not to be had, which takes seconds to find out.
    """
    with one_line(f"slt-bench track {table}"):
        client = open_store()
        experiment_id = experiment(client, table)
        share_view(client, experiment_id)
        return experiment_id, _update(client, experiment_id, table, cells, figures)


def _update(client: MlflowClient, experiment_id: str, table: str, cells: list[Cell], figures: bool) -> int:
    found = client.search_runs([experiment_id], max_results=50_000)
    known = grouped(found, lambda run: run.data.tags.get("cell", run.data.tags.get("mean", "")))
    results = read_results(cells)
    current = {key for result in results for key in (result.cell.id, result.cell.setting)}
    for run in found:  # what has a result that this table has no more
        if "result" in run.data.tags and not current & {run.data.tags.get("cell"), run.data.tags.get("mean")}:
            client.delete_run(run.info.run_id)
    written = 0
    for result in results:
        runs = known.get(result.cell.id, [])
        if [run.data.tags.get("result") for run in runs] != [result_digest(result)]:
            _write(client, experiment_id, table, result, runs)
            written += 1
    for setting, seeds in grouped(results, lambda result: result.cell.setting).items():
        if not any(run.data.tags.get("result") == digest(list(map(result_digest, seeds))) for run in known.get(setting, [])):
            _write_mean(client, experiment_id, table, seeds, figures)
    return written


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
        for name, value in epoch_numbers(epoch).items()
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
    tags = tags_of(table, cell) | {"cell": cell.id, "identity": cell.identity, "code": code, "seed": str(cell.seed),
                                 "mlflow.parentRunId": parent.info.run_id}  # fmt: skip
    return _create(client, experiment_id, f"{run_name(cell)} seed{cell.seed}", tags, cell.parameters(), started)


def _mean_run(client: MlflowClient, experiment_id: str, table: str, cell: Cell, started: int | None) -> Run:
    """The run that stands for all seeds; made once, whoever comes first, and again for other parameters under the same name."""
    parameters = cell.model_dump(mode="json", exclude={"seed", "table"})
    identity = digest(parameters)
    with alone():
        for run in client.search_runs([experiment_id], f"tags.mean = '{cell.setting}'"):
            if run.data.tags.get("identity") == identity:
                return run
            client.delete_run(run.info.run_id)
        tags = tags_of(table, cell) | {"mean": cell.setting, "identity": identity}
        return _create(client, experiment_id, run_name(cell), tags, parameters, started)


def _create(
    client: MlflowClient, experiment_id: str, name: str, tags: dict[str, str], parameters: dict[str, Any], started: int | None
) -> Run:
    from mlflow.entities import Param

    run = client.create_run(experiment_id, start_time=started, run_name=name, tags=tags)
    client.log_batch(run.info.run_id, params=[Param(key, str(value)) for key, value in flatten(parameters).items()])
    return run


def _write(client: MlflowClient, experiment_id: str, table: str, result: Result, runs: Sequence[Run]) -> None:
    """A cell's run, whole; the tag by which it counts as such comes last, as in that of a mean."""
    record, started = result.record, milliseconds(result.record["started"])
    run_id = _run_of(client, experiment_id, table, result.cell, record["code"], started, runs).info.run_id
    log_epochs(client, run_id, result.history)
    client.set_terminated(run_id, end_time=milliseconds(record["finished"]))
    tags = {"result": result_digest(result), "code_version": record["commit"],
            "data_digest": record["data"]["digest"][:12], "data": record["data"]["origin"]}  # fmt: skip
    _log(client, run_id, outcome(result), tags)


def _write_mean(client: MlflowClient, experiment_id: str, table: str, results: list[Result], figures: bool) -> None:
    started = min(milliseconds(result.record["started"]) for result in results)
    run_id = _mean_run(client, experiment_id, table, results[0].cell, started).info.run_id
    outcomes = list(map(outcome, results))
    series = {name: [each[name] for each in outcomes if name in each] for name in outcomes[0]}
    numbers = {name: mean(values) for name, values in series.items()} | {"seeds": float(len(results))}
    numbers |= {f"{name}_std": stdev(series[name]) for name in ("test_top1", "ticket_bytes") if len(results) > 1}
    if figures:
        log_confusion(client, run_id, results)
    client.set_terminated(run_id, end_time=max(milliseconds(result.record["finished"]) for result in results))
    _log(client, run_id, numbers, {"result": digest(list(map(result_digest, results)))})


def _log(client: MlflowClient, run_id: str, numbers: dict[str, float], tags: dict[str, str]) -> None:
    from mlflow.entities import Metric, RunTag

    now = int(time.time() * 1000)
    metrics = [Metric(name, value, now, 0) for name, value in numbers.items()]
    client.log_batch(run_id, metrics=metrics, tags=[RunTag(name, value) for name, value in tags.items()])
