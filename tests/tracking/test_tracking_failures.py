"""MLflow is a view: where its store is not to be had, that is one line within seconds, and nothing else is harmed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from slt_bench.common import paths
from slt_bench.common.errors import BenchError, Preempted
from slt_bench.experiment.cell import Cell
from slt_bench.experiment.experiments import Experiments
from slt_bench.experiment.load import load_experiments
from slt_bench.records.checksums import write_checksums
from slt_bench.run.tables.reports import track_table
from slt_bench.tracking import contact, live
from slt_bench.tracking.contact import load_mlflow, one_line
from slt_bench.tracking.live import LiveRun
from tests.experiment.test_params import ROOT
from tests.harms import HARMS
from tests.tracking.test_tracking import epoch, project_with_a_result

pytestmark = pytest.mark.slow


@pytest.fixture
def bench(project_with_store: Path) -> Experiments:
    """A project with a store and one result, as working directory."""
    return project_with_a_result()


@pytest.fixture
def harmed(request: pytest.FixtureRequest, bench: Experiments, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A project whose store is not to be had; gives what must be said of it."""
    harm, said = HARMS[request.param]
    with harm() as uri:
        if uri:
            monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        yield said


@pytest.mark.parametrize("harmed", HARMS, indirect=True)
def test_what_is_wrong_with_the_store_is_one_note_within_seconds(
    harmed: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert contact.PATIENCE == 10
    monkeypatch.setattr(contact, "PATIENCE", 2)
    began = time.monotonic()
    track_table(load_experiments().table("one"))
    assert time.monotonic() - began < 10
    out, err = capfd.readouterr()
    assert err == "" and len(out.splitlines()) == 1, (out, err)
    assert out.startswith("note: MLflow at ") and harmed in out and "secret" not in out, out
    assert out.endswith("`slt-bench track one` makes up for it\n"), out
    assert {path.name for path in Path().iterdir()} <= {"data", "outputs", "params.yaml", "mlflow.db", ".state"}


@pytest.mark.parametrize("harmed", ["dead server", "silent server", "garbage", "locked"], indirect=True)
def test_a_search_that_ends_waits_for_seconds_only(
    harmed: str, make_cell: Callable[..., Cell], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert live._WAIT_UNOPENED == 5
    monkeypatch.setattr(live, "_WAIT_UNOPENED", 1)
    run = LiveRun(make_cell(), patience=0)
    run.epoch(epoch(1))
    began = time.monotonic()
    run.close()
    assert time.monotonic() - began < 9
    out, err = capfd.readouterr()
    assert err == "" and len(out.splitlines()) == 1 and out.startswith("note: MLflow "), (out, err)
    assert out.endswith("`slt-bench track` makes up for it\n"), out


@pytest.mark.parametrize("harmed", ["dead server", "garbage"], indirect=True)
def test_a_report_is_whole_and_ends_well_without_mlflow_but_tracking_alone_fails(harmed: str) -> None:
    here = os.environ | {"PYTHONPATH": str(ROOT)}
    report, tracking = (
        subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, env=here)
        for command in (("stages.table", "one"), ("slt_bench", "track", "one"))
    )
    assert report.returncode == 0 and report.stderr == "", report.stderr
    (note,) = [line for line in report.stdout.splitlines() if "MLflow" in line]
    assert note.startswith("note: ") and harmed in note
    assert {"table.md", "report.html"} <= {path.name for path in paths.table_dir("one").iterdir()}
    assert tracking.returncode == 2 and tracking.stdout == ""
    assert tracking.stderr == f"error: {note.removeprefix('note: ')}\n"


def test_without_mlflow_the_extra_is_named(
    bench: Experiments, make_cell: Callable[..., Cell], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    track_table(bench.table("one"))
    LiveRun(make_cell(), patience=0).close()
    notes, _ = capfd.readouterr()
    assert len(notes.splitlines()) == 2
    assert notes.count("note: MLflow is not installed: `pip install 'slt-bench[pipeline]'`") == 2
    with pytest.raises(BenchError, match="pip install"):
        track_table(bench.table("one"), required=True)


def test_a_matrix_that_cannot_be_read_is_named_and_tracked_once_it_can(bench: Experiments) -> None:
    cell = bench.tables["one"].cells[0]
    file = cell.directory / "confusion.json"
    whole = file.read_text()
    for damage in ("", "[]", '{"classes": ["a"], "confusion": [[1, 2]]}', '{"classes": ["a"], "confusion": [["x"]]}'):
        file.write_text(damage)
        write_checksums(cell.directory)  # else it is left out as damaged
        with pytest.raises(BenchError, match=f"{file} cannot be read: `slt-bench evaluate {cell.id}` writes it again"):
            track_table(bench.table("one"), required=True)
    file.write_text(whole)
    write_checksums(cell.directory)
    track_table(bench.table("one"), required=True)
    assert len(list(Path("mlruns").rglob("confusion.png"))) == 1


def test_a_stop_stays_a_stop_although_mlflow_wraps_it() -> None:
    from mlflow.exceptions import MlflowException

    with pytest.raises(Preempted), one_line("slt-bench track"):
        try:
            raise Preempted("stopped")
        except Preempted as stop:
            raise MlflowException(str(stop)) from stop


def test_waiting_that_the_user_has_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "77")
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", raising=False)
    load_mlflow()
    assert (os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"], os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"]) == ("77", "1")
