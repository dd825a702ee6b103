"""Figures: as many as the results allow, of equal bytes, and the old ones where they cannot be drawn."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from slt_bench.common import paths
from slt_bench.common.errors import BenchError
from slt_bench.experiment.experiments import Experiments
from slt_bench.run.tables.reports import report_table
from tests.report.test_report import params as params  # a fixture
from tests.report.test_report import pretend, written

pytestmark = pytest.mark.figures


@pytest.mark.slow
def test_figures_are_the_same_bytes_every_time(params: Experiments) -> None:
    for cell in params.tables["one"].cells[:4]:
        pretend(cell, 80.0 + cell.seed)
    report_table(params.tables["one"])
    first = {path.name: path.read_bytes() for path in (paths.table_dir("one") / "figures").glob("*.svg")}
    report_table(params.tables["one"])
    assert first == {path.name: path.read_bytes() for path in (paths.table_dir("one") / "figures").glob("*.svg")}


def test_a_figure_that_results_no_longer_allow_is_removed(params: Experiments) -> None:
    pretend(params.tables["one"].cells[2], 80.0)
    report_table(params.tables["one"])
    figures = paths.table_dir("one") / "figures"
    assert (figures / "learning-curves.svg").is_file()
    changed = written(Path("params.yaml").read_text().replace("epochs: 2", "epochs: 2, train_on: all"))
    shutil.rmtree(params.tables["one"].cells[2].directory)
    pretend(changed.tables["one"].cells[2], 80.0)
    report_table(changed.tables["one"])
    assert (figures / "accuracy-size.svg").is_file() and not (figures / "learning-curves.svg").exists()


def test_figures_that_cannot_be_drawn_leave_the_old_ones(params: Experiments, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(params.tables["one"].cells[2], 80.0)
    report_table(params.tables["one"])
    figures = paths.table_dir("one") / "figures"
    before = {path.name: path.read_bytes() for path in figures.iterdir()}

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("slt_bench.report.figures.draw._save", fail)
    with pytest.raises(BenchError, match=r"cannot write outputs/tables/one/figures: No space left on device"):
        report_table(params.tables["one"])
    after = {path.name: path.read_bytes() for path in figures.iterdir()}
    assert after == before and before
    assert not list(paths.table_dir("one").glob(".*"))
