"""Runs from results, without duplicates: a cell's run is found by its tag `cell`, a setting's mean by its tag `mean`."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any

from slt_bench.common.text import digest, flatten, grouped
from slt_bench.experiment.cell import Cell
from slt_bench.records.history import Epoch
from slt_bench.records.result import Result
from slt_bench.tracking.contact import one_line
from slt_bench.tracking.pictures import log_confusion
from slt_bench.tracking.store import alone, experiment, open_store
from slt_bench.tracking.values import epoch_numbers, milliseconds, outcome, result_digest, run_name, setting_parameters, tags_of
from slt_bench.tracking.view import share_view

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Run

_BATCH = 1000  # the most metrics that one batch may hold
_LOGGED = "train_top1"  # the metric by which an epoch counts as logged


def track(
    table: str, results: Sequence[Result], figures: bool = True, cells: Collection[Cell] | None = None
) -> tuple[str, int] | None:
    """Bring a table's experiment up to date with its results.

    Args:
        table: its name.
        results: of its cells.
        figures: whether means get a confusion matrix.
        cells: all of the table, where `results` are all that it has: runs of other cells, and of results that are gone, are
            removed. With None nothing is.

    Returns:
        The experiment's id, and the number of cells whose runs were written; None where there is neither result nor experiment.

    Raises:
        BenchError: MLflow is not installed, or its store cannot be used, which takes seconds to find out.
    """
    with one_line(f"slt-bench track {table}"):
        client = open_store()
        if not results and client.get_experiment_by_name(table) is None:
            return None
        runs = TableRuns(client, experiment(client, table), table)
        share_view(client, runs.experiment_id)
        return runs.experiment_id, runs.update(results, figures, cells)


@dataclass(frozen=True)
class TableRuns:
    """The runs of a table in its MLflow experiment."""

    client: MlflowClient
    experiment_id: str
    table: str

    def update(self, results: Sequence[Result], figures: bool, cells: Collection[Cell] | None = None) -> int:
        """Write the runs whose results are new or have changed; returns how many cells'. Arguments as those of `track`."""
        tracked = self.client.search_runs([self.experiment_id], max_results=50_000)
        by_key = grouped(tracked, lambda run: run.data.tags.get("cell", run.data.tags.get("mean", "")))
        if cells is not None:
            self._remove_others(tracked, [result.cell for result in results], cells)
        written = 0
        for result in results:
            runs = by_key.get(result.cell.id, [])
            if [run.data.tags.get("result") for run in runs] != [result_digest(result)]:
                self._write_cell(result, runs)
                written += 1
        for setting, seeds in grouped(results, lambda result: result.cell.setting).items():
            tag = digest(list(map(result_digest, seeds)))
            if all(run.data.tags.get("result") != tag for run in by_key.get(setting, [])):
                self._write_mean(seeds, tag, figures)
        return written

    def _remove_others(self, tracked: Sequence[Run], with_result: Collection[Cell], cells: Collection[Cell]) -> None:
        """Remove runs of results that are gone, and of searches, at work or killed, that the table does not have."""
        current, known = _keys(with_result), _keys(cells)
        for run in tracked:
            tags = run.data.tags
            if not {tags.get("cell"), tags.get("mean")} & (current if "result" in tags else known):
                self.client.delete_run(run.info.run_id)

    def open_run(self, cell: Cell, code: str) -> Run:
        """Open the run of this very search that has no result yet, or a new one in place of older ones.

        Args:
            cell: of the search.
            code: digest of the code that the search runs.
        """
        runs = list(self.client.search_runs([self.experiment_id], f"tags.cell = '{cell.id}'"))
        return self._cell_run(cell, code, None, runs)

    def _cell_run(self, cell: Cell, code: str, started: int | None, runs: Sequence[Run]) -> Run:
        for run in runs:
            tags = run.data.tags
            if "result" not in tags and (tags.get("identity"), tags.get("code")) == (cell.identity, code):
                self.client.update_run(run.info.run_id, "RUNNING")
                return run
        for run in runs:
            self.client.delete_run(run.info.run_id)
        parent = self._mean_run(cell, started)
        tags = tags_of(self.table, cell) | {"cell": cell.id, "identity": cell.identity, "code": code, "seed": str(cell.seed),
                                          "mlflow.parentRunId": parent.info.run_id}  # fmt: skip
        return self._create(f"{run_name(cell)} seed{cell.seed}", tags, cell.parameters(), started)

    def _mean_run(self, cell: Cell, started: int | None) -> Run:
        """Open the run that stands for all seeds of a setting; one of other parameters under its name is replaced."""
        parameters = setting_parameters(cell)
        identity = digest(parameters)
        with alone():
            for run in self.client.search_runs([self.experiment_id], f"tags.mean = '{cell.setting}'"):
                if run.data.tags.get("identity") == identity:
                    return run
                self.client.delete_run(run.info.run_id)
            tags = tags_of(self.table, cell) | {"mean": cell.setting, "identity": identity}
            made = self._create(run_name(cell), tags, parameters, started)
            for run in self.client.search_runs([self.experiment_id], f"tags.setting = '{cell.setting}'", max_results=1000):
                if "cell" in run.data.tags:
                    self.client.set_tag(run.info.run_id, "mlflow.parentRunId", made.info.run_id)
            return made

    def _create(self, name: str, tags: dict[str, str], parameters: dict[str, Any], started: int | None) -> Run:
        from mlflow.entities import Param

        run = self.client.create_run(self.experiment_id, start_time=started, run_name=name, tags=tags)
        params = [Param(key, str(value)) for key, value in flatten(parameters).items()]
        self.client.log_batch(run.info.run_id, params=params)
        return run

    def _write_cell(self, result: Result, runs: Sequence[Run]) -> None:
        """Write a cell's run; the tag by which it counts as whole comes last, as in that of a mean."""
        record = result.record
        run_id = self._cell_run(result.cell, record["code"], milliseconds(record["started"]), runs).info.run_id
        log_epochs(self.client, run_id, result.history)
        self.client.set_terminated(run_id, end_time=milliseconds(record["finished"]))
        tags = {"result": result_digest(result), "code_version": record["commit"],
                "data_digest": record["data"]["digest"][:12], "data": record["data"]["origin"]}  # fmt: skip
        self._log(run_id, outcome(result), tags)

    def _write_mean(self, results: list[Result], tag: str, figures: bool) -> None:
        started = min(milliseconds(result.record["started"]) for result in results)
        numbers, run = _means(results), self._mean_run(results[0].cell, started)
        if run.data.metrics.keys() - numbers.keys():  # MLflow takes no metric back
            self.client.delete_run(run.info.run_id)
            run = self._mean_run(results[0].cell, started)
        run_id = run.info.run_id
        if figures:
            log_confusion(self.client, run_id, results)
        self.client.set_terminated(run_id, end_time=max(milliseconds(result.record["finished"]) for result in results))
        self._log(run_id, numbers, {"result": tag})

    def _log(self, run_id: str, numbers: dict[str, float], tags: dict[str, str]) -> None:
        from mlflow.entities import Metric, RunTag

        now = int(time.time() * 1000)
        metrics = [Metric(name, value, now, 0) for name, value in numbers.items()]
        self.client.log_batch(run_id, metrics=metrics, tags=[RunTag(name, value) for name, value in tags.items()])


def _keys(cells: Collection[Cell]) -> set[str | None]:
    """Collect what the tags `cell` and `mean` may say of these cells."""
    return {key for cell in cells for key in (cell.id, cell.setting)}


def _means(results: list[Result]) -> dict[str, float]:
    outcomes = list(map(outcome, results))
    series = {name: [numbers[name] for numbers in outcomes if name in numbers] for name in outcomes[0]}
    if len({result.machine for result in results}) > 1:
        del series["seconds"]  # of unlike machines: there is no mean
    numbers = {name: mean(values) for name, values in series.items()} | {"seeds": float(len(results))}
    return numbers | {f"{name}_std": stdev(series[name]) for name in ("test_top1", "ticket_bytes") if len(results) > 1}


def log_epochs(client: MlflowClient, run_id: str, epochs: list[Epoch]) -> None:
    """Log the epochs that a run does not have yet (MLflow would append the others again), whole ones in each batch."""
    now = int(time.time() * 1000)
    logged = {metric.step for metric in client.get_metric_history(run_id, _LOGGED)}
    new = [_metrics(epoch, now) for epoch in epochs if epoch.epoch not in logged]
    at_once = max(1, _BATCH // max(map(len, new), default=1))  # epochs in a batch
    for first in range(0, len(new), at_once):
        metrics = [metric for metrics in new[first : first + at_once] for metric in metrics]
        for start in range(0, len(metrics), _BATCH):
            client.log_batch(run_id, metrics=metrics[start : start + _BATCH])


def _metrics(epoch: Epoch, now: int) -> list[Metric]:
    """Make the metrics of an epoch; the last is that by which it counts as logged."""
    from mlflow.entities import Metric

    metrics = [Metric(name, float(value), now, epoch.epoch) for name, value in epoch_numbers(epoch).items()]
    return sorted(metrics, key=lambda metric: metric.key == _LOGGED)
