"""MLflow is a view of the files: no duplicates, no loss, no race."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from slt_bench.common import paths
from slt_bench.data.manifest import read_manifest
from slt_bench.experiment.cell import Cell
from slt_bench.experiment.experiments import Experiments
from slt_bench.experiment.load import load_experiments
from slt_bench.params.sources import Source
from slt_bench.records.checksums import write_checksums
from slt_bench.records.code_digest import cell_code
from slt_bench.records.history import Epoch
from slt_bench.records.provenance import parent_digest
from slt_bench.tracking.live import LiveRun
from slt_bench.tracking.runs import TableRuns, log_epochs, track
from slt_bench.tracking.store import experiment, open_store
from slt_bench.tracking.view import how_to_compare
from tests.experiment.test_params import GOOD
from tests.report.test_report import pretend, record_too
from tests.toys_results import read_results, tracked

pytestmark = pytest.mark.slow
SEEDS, MEANS = "tags.cell LIKE '%'", "tags.mean LIKE '%'"
FROZEN = Source(prune_ratio=0.25, lock_ratio=0.25, layout="epl", lock_rule="joint")


def epoch(number: int) -> Epoch:
    return Epoch(number, 0.5, 0.1, 1.0, 40.0 + number, 1.0, 80.0 - number, 500, 0.2, 0.1, [0.1, 0.2, 0.3, 0.4, 0.5], [0.3, 0.2])


def finish(cell: Cell, top1: float, code: str = "c0de") -> None:
    """The files of a finished cell, made on the images that are prepared."""
    pretend(cell, top1, code)
    file = cell.directory / "search.json"
    record = json.loads(file.read_text())
    record["data"]["digest"] = read_manifest(paths.dataset_dir(cell.dataset_name)).digest
    file.write_text(json.dumps(record))
    write_checksums(cell.directory)


def project_with_a_result() -> Experiments:
    """Write params.yaml and the files of one finished cell into the working directory."""
    Path("params.yaml").write_text(GOOD)
    finish(load_experiments().tables["one"].cells[0], 80.0)
    return load_experiments()


def test_live_then_rebuilt_gives_one_run_a_cell(project_with_store: Path, make_cell: Callable[..., Cell]) -> None:
    cell = make_cell()
    for epochs in ((1,), (1, 2)):  # interrupted after one epoch, then told of it again
        live = LiveRun(cell, patience=0)
        for number in epochs:
            live.epoch(epoch(number))
        live.close("KILLED")
    client = open_store()
    where = [experiment(client, "one")]
    runs = TableRuns(client, where[0], "one")
    assert client.get_run(runs.open_run(cell, cell_code(cell)).info.run_id).info.status == "RUNNING", "while it goes on"
    LiveRun(cell, patience=0).close("KILLED")
    (run,) = client.search_runs(where, SEEDS)
    assert run.info.status == "KILLED" and run.data.metrics["val_top1"] == 78.0
    assert [metric.step for metric in client.get_metric_history(run.info.run_id, "val_top1")] == [1, 2]

    finish(cell, 80.0, cell_code(cell))
    assert track("one", read_results([cell])) == (where[0], 1)
    assert track("one", read_results([cell])) == (where[0], 0)
    (done,) = client.search_runs(where, SEEDS)
    assert done.info.run_id == run.info.run_id and done.info.status == "FINISHED"
    assert done.data.metrics["test_top1"] == 80.0 and done.data.metrics["edges_kept"] == 500
    assert done.data.params["recipe.learning_rate"] == "0.1" and done.data.params["source.prune_ratio"] == "0.0"
    assert {"table", "cell", "code_version", "data_digest", "seed"} <= set(done.data.tags)
    assert [metric.step for metric in client.get_metric_history(run.info.run_id, "val_top1")] == [1, 2]
    assert done.data.metrics["layer_density/001"] == 0.2 and done.data.metrics["score_quantile/50"] == 0.3
    (mean,) = client.search_runs(where, MEANS)
    assert done.data.tags["mlflow.parentRunId"] == mean.info.run_id
    assert [file.path for file in client.list_artifacts(mean.info.run_id, "figures")] == ["figures/confusion.png"]


def test_seeds_stand_under_the_mean_of_their_setting(project_with_store: Path, make_cell: Callable[..., Cell]) -> None:
    cells = [make_cell(seed=seed, **({"source": source} if source else {})) for source in (None, FROZEN) for seed in range(3)]
    for cell in cells:
        finish(cell, 80.0 + cell.seed)
    where, written = tracked(cells[:5], figures=False)
    client = open_store()
    assert written == 5 and len(client.search_runs([where], SEEDS)) == 5
    means = {run.data.tags["mean"]: run for run in client.search_runs([where], MEANS)}
    assert set(means) == {cells[0].setting, cells[3].setting}
    dense, frozen = means[cells[0].setting], means[cells[3].setting]
    assert dense.data.metrics["test_top1"] == 81.0 and dense.data.metrics["test_top1_std"] == 1.0
    assert (dense.data.metrics["seeds"], frozen.data.metrics["seeds"]) == (3, 2) and "seconds" in dense.data.metrics
    assert dense.data.tags["mlflow.runColor"] != frozen.data.tags["mlflow.runColor"] and "seed" not in dense.data.params
    for run in client.search_runs([where], SEEDS):
        assert run.data.tags["mlflow.parentRunId"] == means[run.data.tags["setting"]].info.run_id
    # The seed that was missing is written, and the mean that it changes.
    assert track("one", read_results(cells), figures=False) == (where, 1)
    (again,) = [run for run in client.search_runs([where], MEANS) if run.data.tags["mean"] == cells[3].setting]
    assert again.info.run_id == frozen.info.run_id and again.data.metrics["seeds"] == 3
    # What a mean has no more goes with its run; the seeds move to the new one.
    track("one", read_results(cells[:4]), figures=False, cells=cells)
    (alone,) = [run for run in client.search_runs([where], MEANS) if run.data.tags["mean"] == cells[3].setting]
    assert alone.data.metrics["seeds"] == 1 and "test_top1_std" not in alone.data.metrics
    (seed,) = client.search_runs([where], f"tags.cell = '{cells[3].id}'")
    assert seed.data.tags["mlflow.parentRunId"] == alone.info.run_id


def test_seconds_of_unlike_machines_have_no_mean(project_with_store: Path, make_cell: Callable[..., Cell]) -> None:
    for cell, cpu in zip(cells := [make_cell(seed=seed) for seed in range(2)], ("one", "other"), strict=True):
        finish(cell, 80.0)
        record_too(cell, {"environment": {"libraries": {"torch": "2"}, "cpu": cpu, "cores": 2, "gpu": None}})
    where, _ = tracked(cells, figures=False)
    (mean,) = open_store().search_runs([where], MEANS)
    assert mean.data.metrics["test_top1"] == 80.0 and "seconds" not in mean.data.metrics


def test_an_import_that_is_interrupted_leaves_no_epoch_in_part() -> None:
    """A run whose epoch has been begun to log counts as having it."""
    batches: list[list[Any]] = []
    client: Any = SimpleNamespace(get_metric_history=lambda *_: [], log_batch=lambda _, metrics: batches.append(metrics))
    log_epochs(client, "run", [replace(epoch(number), layer_density=[0.1] * 150) for number in range(1, 31)])
    assert len(batches) > 2 and max(map(len, batches)) <= 1000
    epochs = [{metric.step for metric in batch} for batch in batches]
    assert sum(map(len, epochs)) == len(set.union(*epochs)) == 30


def test_seeds_stand_under_one_mean_although_each_takes_the_ticket_of_its_own_parent(
    project_with_store: Path, make_cell: Callable[..., Cell]
) -> None:
    children = []
    for seed in (0, 1):
        parent = make_cell(sparsity=0.8, seed=seed)
        source = Source(prune_ratio=0.8, layout="from_ticket", parent=parent.as_parent())
        children.append(make_cell(source=source, seed=seed))
        finish(parent, 70.0)
        finish(children[-1], 80.0)
        file = children[-1].directory / "search.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | {"parent": parent_digest(parent.directory)}))
        write_checksums(file.parent)
    experiment_id, _ = tracked(children)
    client = open_store()
    (mean,) = client.search_runs([experiment_id], MEANS)
    seeds = client.search_runs([experiment_id], SEEDS)
    assert len(seeds) == 2 and {run.data.tags["mlflow.parentRunId"] for run in seeds} == {mean.info.run_id}
    assert not any("parent.seed" in name or "parent.id" in name for name in mean.data.params)


def test_seeds_move_to_a_mean_that_replaces_theirs(project_with_store: Path, make_cell: Callable[..., Cell]) -> None:
    cells = [make_cell(seed=seed) for seed in (0, 1)]
    for cell in cells:
        finish(cell, 80.0)
    experiment_id, _ = tracked(cells[:1])
    client = open_store()
    (mean,) = client.search_runs([experiment_id], MEANS)
    client.set_tag(mean.info.run_id, "identity", "of a version with less parameters")
    track("one", read_results(cells))
    (mean,) = client.search_runs([experiment_id], MEANS)
    seeds = client.search_runs([experiment_id], SEEDS)
    assert len(seeds) == 2 and {run.data.tags["mlflow.parentRunId"] for run in seeds} == {mean.info.run_id}


def test_the_view_that_the_link_opens_is_there(project_with_store: Path, make_cell: Callable[..., Cell]) -> None:
    cell = make_cell()
    finish(cell, 80.0)
    where, _ = tracked([cell], figures=False)
    key = re.findall(r"viewStateShareKey=(\w+)", how_to_compare(where))[0]
    view = json.loads(open_store().get_experiment(where).tags[f"mlflow.sharedViewState.{key}"])
    charts = [(chart["xaxis"]["key"], chart["yaxis"]["key"]) for chart in view["compareRunCharts"]]
    assert ("ticket_bytes", "test_top1") in charts
    sections = {section["uuid"] for section in view["compareRunSections"]}
    assert {chart["metricSectionId"] for chart in view["compareRunCharts"]} == sections


def test_a_run_of_other_code_is_not_gone_on_with(project_with_store: Path, make_cell: Callable[..., Cell]) -> None:
    cell = make_cell()
    live = LiveRun(cell, patience=0)
    live.epoch(epoch(1))
    live.close()
    finish(cell, 80.0, code="of another time")
    where, _ = tracked([cell], figures=False)
    (run,) = open_store().search_runs([where], SEEDS)
    assert run.data.tags["code"] == "of another time" and run.info.status == "FINISHED"


def test_a_changed_result_replaces_the_run(project_with_store: Path, make_cell: Callable[..., Cell]) -> None:
    cell = make_cell()
    finish(cell, 80.0)
    where, _ = tracked([cell], figures=False)
    metrics = cell.directory / "metrics.json"
    metrics.write_text(metrics.read_text().replace("80.0", "81.0"))
    write_checksums(cell.directory)
    assert track("one", read_results([cell]), figures=False) == (where, 1)
    (run,) = open_store().search_runs([where], SEEDS)
    assert run.data.metrics["test_top1"] == 81.0
    assert run.info.end_time - run.info.start_time == 9000  # the search's own time, not that of the import


def test_what_a_table_has_no_more_is_removed_and_means_are_of_their_parameters(
    project_with_store: Path, make_cell: Callable[..., Cell]
) -> None:
    old, other = make_cell(), make_cell(source=FROZEN)
    for cell in (old, other):
        finish(cell, 80.0)
    where, _ = tracked([old, other], figures=False)
    new = make_cell(recipe={"epochs": 5})
    assert (new.id, new.identity != old.identity) == (old.id, True)
    shutil.rmtree(old.directory)
    finish(new, 81.0)
    assert track("one", read_results([new]), figures=False, cells=[new]) == (where, 1)
    ((mean,), (run,)) = (open_store().search_runs([where], kind) for kind in (MEANS, SEEDS))
    assert mean.data.params["recipe.epochs"] == run.data.params["recipe.epochs"] == "5"


def test_an_experiment_that_was_deleted_is_brought_back(project_with_store: Path, make_cell: Callable[..., Cell]) -> None:
    cell = make_cell()
    finish(cell, 80.0)
    where, _ = tracked([cell], figures=False)
    open_store().delete_experiment(where)
    assert tracked([cell], figures=False)[0] == where


def test_a_table_that_has_not_run_makes_no_experiment(project_with_store: Path, make_cell: Callable[..., Cell]) -> None:
    cell = make_cell()
    assert track("one", read_results([cell]), cells=[cell]) is None
    assert open_store().get_experiment_by_name("one") is None


def test_a_killed_search_of_a_row_that_was_removed_goes(project_with_store: Path, make_cell: Callable[..., Cell]) -> None:
    """One of a row that is still there stays, and so do all where the results are not those of the whole table."""
    cells = [make_cell(), make_cell(source=FROZEN)]
    for cell in cells:
        live = LiveRun(cell, patience=0)
        live.epoch(epoch(1))
        live.close("KILLED")
    client = open_store()
    where = [experiment(client, "one")]
    assert track("one", []) == (where[0], 0) and len(client.search_runs(where)) == 4
    assert track("one", [], cells=cells[:1]) == (where[0], 0)
    assert {run.data.tags["setting"] for run in client.search_runs(where)} == {cells[0].setting}
    assert [run.info.status for run in client.search_runs(where, SEEDS)] == ["KILLED"]


def test_a_search_does_not_fail_with_its_display(
    project: Path, make_cell: Callable[..., Cell], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:////dev/null/mlflow.db")
    live = LiveRun(make_cell(), patience=0)
    live.epoch(epoch(1))
    live.close()
    assert "`slt-bench track` makes up for it" in capsys.readouterr().out


def test_processes_that_come_first_together_create_one_store_although_one_before_was_killed(project: Path) -> None:
    script = "from slt_bench.tracking.store import *; client = open_store(); print('id', experiment(client, 'one'))"

    def size(path: Path) -> int:
        with suppress(FileNotFoundError):  # sqlite's journal goes at any moment
            return path.stat().st_size
        return 0

    def start() -> subprocess.Popen[str]:
        return subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    killed = start()
    while not any(size(path) for path in project.glob("mlflow.db.new-*")):
        assert killed.poll() is None and not Path("mlflow.db").exists()
    killed.kill()
    killed.communicate()
    assert not Path("mlflow.db").exists()  # no half of one
    running = [start() for _ in range(2)]
    ended = [process.communicate() for process in running]
    assert [process.returncode for process in running] == [0, 0], ended
    assert len({out for out, _ in ended}) == 1 and {err for _, err in ended} == {""}
    assert {path.name for path in project.iterdir()} == {"data", "mlflow.db", ".state"}
