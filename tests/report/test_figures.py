"""Figures: as many as the results allow, of equal bytes, and the old ones where they cannot be drawn."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from slt_bench.common import paths
from slt_bench.common.errors import BenchError
from slt_bench.experiment.experiments import Experiments
from slt_bench.report.figures.draw import _figure
from slt_bench.report.figures.plots import accuracy_against_sparsity, dying_against_sparsity
from slt_bench.report.results import table_results
from slt_bench.run.tables.reports import report_table
from tests.report.test_report import params as params  # a fixture
from tests.report.test_report import pretend, record_too, written

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


def test_labels_are_shown_as_they_are_written(params: Experiments) -> None:
    """A dollar begins mathematics in matplotlib, which may fail, and a label with an underscore is left out of its legend."""
    text = Path("params.yaml").read_text()
    for label in ("for 5 $ a_b_c $", r"x $\\foo$", "_mine"):
        changed = written(text.replace("{search: ep,", f'{{label: "{label}", search: ep,', 1))
        line = next(one for one in table_results(changed.tables["one"]).lines if one.row == 1)
        pretend(line.cell, 80.0)
        results = table_results(changed.tables["one"])
        shown = [one for one in results.lines if one.results]
        figure = _figure(shown, accuracy_against_sparsity, results.title)
        figure.draw_without_rendering()
        (told,) = [entry.get_text() for entry in figure.legends[0].get_texts()][:1]
        assert told.replace(r"\$", "$").strip().startswith(line.label), told
        shutil.rmtree(line.cell.directory)


def test_no_text_of_a_report_is_taken_for_mathematics(params: Experiments) -> None:
    text = Path("params.yaml").read_text()
    wild = "5 $ a_b^^ $"  # which is none, and an error
    text = text.replace("title: One", f'title: "{wild}"').replace("{search: ep,", f'{{label: "{wild}", search: ep,', 1)
    table = written(text).tables["one"]
    cell = next(line.cell for line in table_results(table).lines if line.row == 1)
    pretend(cell, 80.0)
    record_too(cell, {"layers": [{"name": f"_{wild}.weight", "total": 600}, {"name": "b.weight", "total": 400}]})
    report_table(table)
    for file in (paths.table_dir("one") / "figures").glob("*.svg"):
        told = [comment.strip() for comment in re.findall("<!--(.*?)-->", file.read_text()) if "^^" in comment]
        assert told and all(wild in comment for comment in told), (file, told)
        assert file.stem != "layer-density" or f"_{wild}" in told, "the legend has all layers"


def test_a_curve_over_sparsities_is_not_named_by_the_first_of_them(params: Experiments) -> None:
    for cell in params.tables["one"].cells:
        if cell.search_name == "ep":
            pretend(cell, 80.0)
    results = table_results(params.tables["one"])
    figure = _figure([line for line in results.lines if line.results], dying_against_sparsity, results.title)
    names = [entry.get_text() for entry in figure.legends[0].get_texts()]
    assert "edge popup, dense" in names and not any(name.startswith("edge popup, dense, s =") for name in names)


@pytest.mark.parametrize(("lowest", "is_left_out"), [(20.0, False), (70.0, True)])
def test_a_control_is_left_below_the_axis_where_it_lies_there(lowest: float, is_left_out: bool, params: Experiments) -> None:
    text = Path("params.yaml").read_text().replace("searches:\n", "searches:\n  rand: {kind: random-mask}\n")
    changed = written(text + "      - {search: rand, sparsity: 0.5}\n")
    for cell in changed.tables["one"].cells:
        if cell.search_name in ("ep", "rand"):
            pretend(cell, 10.0 if cell.search_name == "rand" else lowest if cell.sparsity < 0.5 else 75.0)
    results = table_results(changed.tables["one"])
    figure = _figure([line for line in results.lines if line.results], accuracy_against_sparsity, results.title)
    (axes,) = figure.axes
    assert bool(axes.texts) is is_left_out is bool(axes.get_ylim()[0] > 10.0)
