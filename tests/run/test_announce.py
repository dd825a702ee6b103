"""What is asked for is said before anything runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from slt_bench.common import paths
from slt_bench.common.errors import BenchError
from slt_bench.common.files import exclusive
from slt_bench.experiment.experiments import Experiments
from slt_bench.experiment.load import load_experiments
from slt_bench.records.standing import Standing
from slt_bench.run.datasets import check_images
from slt_bench.run.many import Places
from slt_bench.run.tables.announce import announcement, cell_summary, table_summary
from slt_bench.run.tables.plan import plan
from slt_bench.run.tables.targets import run_targets
from tests.experiment.test_params import GOOD


def declared(text: str = GOOD) -> Experiments:
    Path("params.yaml").write_text(text)
    return load_experiments(Path("params.yaml"))


def of_imagenet() -> Experiments:
    pixels = "images: {source: imagenet}, mean: [0.3, 0.3, 0.3], std: [0.4, 0.4, 0.4], resolution: 64, resize: 64"
    return declared(GOOD.replace("networks:", f"  big: {{{pixels}}}\nnetworks:").replace("dataset: digits", "dataset: big"))


def test_cells_that_are_left_and_that_their_time_is_not_known(project: Path) -> None:
    experiments = declared()
    lines = announcement(experiments, plan(experiments.tables["one"].cells))
    assert lines == ["14 of 14 cells are left; how long that takes is not known yet"]


@pytest.mark.parametrize(("jobs", "time"), [(1, "28 min"), (4, "7 min")])
def test_cells_that_run_together_take_a_share_of_their_time(project: Path, jobs: int, time: str) -> None:
    experiments = declared()
    planned = [replace(entry, seconds=120.0) for entry in plan(experiments.tables["one"].cells)]
    assert announcement(experiments, planned, jobs) == [f"14 of 14 cells are left; about {time}"]


def test_images_that_are_not_there_with_the_variable_and_the_tables(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLT_BENCH_IMAGENET", raising=False)
    experiments = of_imagenet()
    _, missing = announcement(experiments, plan(experiments.tables["one"].cells))
    assert "dataset big: images of imagenet cannot be downloaded: name the directory" in missing
    assert missing.endswith("SLT_BENCH_IMAGENET (without them no table one; `dvc repro -k` makes the others)")
    monkeypatch.setenv("SLT_BENCH_IMAGENET", "nowhere")
    with pytest.raises(BenchError, match="SLT_BENCH_IMAGENET names nowhere, which does not exist"):
        check_images(experiments, "big")


def test_a_run_without_its_images_says_so_first_and_runs_nothing(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("SLT_BENCH_IMAGENET", raising=False)
    with pytest.raises(BenchError, match="dataset big: images of imagenet cannot be downloaded"):
        run_targets(of_imagenet(), ["one"], Places())
    assert "14 of 14 cells are left" in capsys.readouterr().out and not Path("outputs").exists()


def test_a_cell_of_several_tables_counts_once(project: Path) -> None:
    start = GOOD.index("  one:")
    experiments = declared(GOOD + GOOD[start:].replace("  one:", "  two:"))
    planned = plan([cell for table in experiments.tables.values() for cell in table.cells])
    assert len(planned) == 28 and announcement(experiments, planned)[0].startswith("14 of 14 cells are left")
    done = replace(planned[20], standing=Standing("done"))  # in the second table alone: it will be copied
    assert announcement(experiments, [*planned[:20], done, *planned[21:]])[0].startswith("13 of 14 cells are left")


def test_a_cell_that_is_searched_now_is_said_to_run(project: Path) -> None:
    Path("params.yaml").write_text(GOOD)
    experiment = load_experiments().table("one")
    cell, *_ = experiment.cells
    with exclusive(paths.state_dir(cell.id, cell.identity)):
        planned = plan(experiment.cells)
        assert cell_summary(planned[0]).startswith(f"running  {cell.id}") and "; 1 running" in table_summary(
            experiment, planned
        )
    assert cell_summary(plan(experiment.cells)[0]).startswith("missing  ")
