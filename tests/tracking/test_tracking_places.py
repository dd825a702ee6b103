"""MLflow's store and its pictures: in the project's folder, whatever that is called and wherever it was moved to."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from slt_bench.experiment.experiments import Experiments
from slt_bench.experiment.load import load_experiments
from slt_bench.tracking.store import open_store
from slt_bench.tracking.view import how_to_compare
from tests.toys_results import tracked
from tests.tracking.test_tracking import finish, project_with_a_result

pytestmark = pytest.mark.slow


@pytest.fixture
def bench(project_with_store: Path) -> Experiments:
    """A project with a store and one result, as working directory."""
    return project_with_a_result()


PICTURES = """
from slt_bench.run.tables.reports import track_table
from slt_bench.experiment.load import load_experiments
from slt_bench.tracking.store import experiment, open_store
track_table(load_experiments().table("one"), required=True)
client = open_store()
for run in client.search_runs([experiment(client, "one")], "tags.mean LIKE '%'"):
    print(client.list_artifacts(run.info.run_id, "figures"), client.download_artifacts(run.info.run_id, ""))
"""


def test_store_and_pictures_lie_in_the_project_whatever_it_is_called_and_wherever_it_is_moved(
    bench: Experiments, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "what?now#5%25 ü:x"
    home, moved = tmp_path / "homes" / name, tmp_path / "homes" / f"moved {name}"
    home.mkdir(parents=True)
    for part in ("data", "outputs", "params.yaml", "mlflow.db"):
        (tmp_path / part).rename(home / part)
    for place, count in ((home, 1), (moved, 2)):
        if place == moved:
            home.rename(moved)
        monkeypatch.chdir(place)
        if count == 2:
            finish(load_experiments().tables["one"].cells[2], 70.0)
        done = subprocess.run([sys.executable, "-c", PICTURES], capture_output=True, text=True)
        assert done.returncode == 0 and done.stderr == "", done.stderr
        assert len(list((place / "mlruns").rglob("confusion.png"))) == done.stdout.count("figures/confusion.png") == count
        assert done.stdout.count(f"{place}/mlruns/") == count  # each is found where the project is now
        assert [path.name for path in place.parent.iterdir()] == [place.name]
        assert {path.name for path in place.iterdir()} == {"data", "outputs", "params.yaml", "mlflow.db", "mlruns", ".state"}


def test_artifacts_that_an_older_store_has_by_their_old_place_are_found_again(bench: Experiments) -> None:
    where, _ = tracked(bench.tables["one"].cells[:1])
    old = "UPDATE runs SET artifact_uri = '/old/place/' || artifact_uri WHERE artifact_uri LIKE 'mlruns/%'"
    elsewhere = "UPDATE experiments SET artifact_location = 's3://bucket/mlruns/0' WHERE experiment_id = 0"
    with closing(sqlite3.connect("mlflow.db")) as database:
        assert database.execute(old).rowcount == 2  # of a seed and of the mean
        database.execute(elsewhere)
        database.commit()
    client = open_store()
    (mean,) = client.search_runs([where], "tags.mean LIKE '%'")
    assert [file.path for file in client.list_artifacts(mean.info.run_id, "figures")] == ["figures/confusion.png"]
    assert client.get_experiment("0").artifact_location == "s3://bucket/mlruns/0"


def test_the_link_leads_to_where_the_runs_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert how_to_compare("7").startswith("start `mlflow ui`, open http://127.0.0.1:5000/#/experiments/7/")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:////elsewhere/runs.db")
    assert how_to_compare("7").startswith('start `mlflow ui --backend-store-uri "$MLFLOW_TRACKING_URI"`, open http://127')
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://me:secret@runs.example/mlflow/")
    assert how_to_compare("7").startswith("open https://***@runs.example/mlflow/#/experiments/7/")
