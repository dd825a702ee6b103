"""Reports are kept with what made them, whole or in part."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from slt_bench.common import paths
from slt_bench.common.errors import BenchError
from slt_bench.experiment.experiments import Experiments
from slt_bench.experiment.load import load_experiments
from slt_bench.kept.archive import _counted, _hardware, list_archived
from slt_bench.kept.cells import restore_cells
from slt_bench.kept.site import write_site
from slt_bench.kept.table import kept_folders, kept_tables
from slt_bench.records.code_digest import cell_code
from slt_bench.run.tables.reports import keep_tables
from tests.report.test_report import diverge, pretend, record_too


def keep_all(params: Experiments) -> None:
    """Keep a table whose cells all seem to have run."""
    for cell in params.tables["one"].cells:
        pretend(cell, 60.0)
    keep_tables(params, ["one"])


def test_a_table_whose_cells_have_all_diverged_is_kept_too(params: Experiments) -> None:
    for cell in params.tables["one"].cells:
        diverge(cell)
        record_too(cell, {"code": cell_code(cell)})
    keep_tables(params, ["one"])
    assert "| —  " in (paths.RESULTS / "README.md").read_text()
    write_site(kept_tables(paths.RESULTS), Path("site"))
    assert "diverged" in (paths.RESULTS / "one" / "table.md").read_text()


def test_a_folder_that_was_not_finished_is_no_kept_table(params: Experiments) -> None:
    for name in ("one", ".one.123.tmp"):
        (paths.RESULTS / name).mkdir(parents=True)
        (paths.RESULTS / name / "made.json").write_text("{}")
    assert kept_folders(paths.RESULTS) == [paths.RESULTS / "one"]
    with pytest.raises(
        BenchError, match=r"results/one is no kept table: made\.json: title: field required; .*`slt-bench results one` keeps"
    ):
        list_archived(params)


def test_a_table_whose_tickets_are_too_much_changes_nothing(params: Experiments, monkeypatch: pytest.MonkeyPatch) -> None:
    keep_all(params)
    before = {path: path.read_bytes() for path in paths.RESULTS.rglob("*") if path.is_file()}
    monkeypatch.setattr("slt_bench.kept.tickets._MOST_BYTES", -1)
    shutil.rmtree(params.tables["one"].cells[0].directory)
    pretend(params.tables["one"].cells[0], 70.0)
    with pytest.raises(BenchError, match="with one the tickets in results would take"):
        keep_tables(params, ["one"])
    assert {path: path.read_bytes() for path in paths.RESULTS.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("named", [True, False])
def test_no_kept_result_is_dropped_unasked(named: bool, params: Experiments, capsys: pytest.CaptureFixture[str]) -> None:
    first, *others = params.tables["one"].cells
    for cell in (first, *others):
        pretend(cell, 60.0)
    keep_tables(params, ["one"])
    for cell in others:
        shutil.rmtree(cell.directory)
    told = (
        rf"results/one keeps {len(others)} results that outputs/ has not .*`slt-bench results --restore one` brings them back"
    )
    if named:
        with pytest.raises(BenchError, match=told):
            keep_tables(params, ["one"], partial=True)
    else:
        keep_tables(params, [], partial=True)
        assert re.search(told, capsys.readouterr().out)
    assert json.loads((paths.RESULTS / "one/made.json").read_text())["cells"] == len(others) + 1
    restore_cells(params.tables["one"])
    keep_tables(params, ["one"], partial=True)
    for cell in others:
        shutil.rmtree(cell.directory)
    shutil.rmtree(paths.RESULTS / "one")
    keep_tables(params, ["one"], partial=True)
    assert json.loads((paths.RESULTS / "one/made.json").read_text())["cells"] == 1, "where that is wanted"


@pytest.mark.parametrize("archive", ["missing", "cut off"])
def test_no_result_is_dropped_from_a_table_without_its_cells(params: Experiments, archive: str) -> None:
    keep_all(params)
    folder = paths.RESULTS / "one"
    cells = folder / "cells.tar.xz"
    cells.write_bytes(cells.read_bytes()[:100])
    if archive == "missing":
        cells.unlink()
    shutil.rmtree(params.tables["one"].cells[0].directory)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(BenchError, match=r"results/one keeps 1 results that outputs/ has not .*would be lost") as told:
        keep_tables(params, ["one"], partial=True)
    assert ("--restore" in str(told.value)) == (archive == "cut off"), "what is not there is not offered"
    (folder / "cells.csv").unlink()
    with pytest.raises(BenchError, match=r"results/one/cells\.csv cannot be read: .*what would be lost .*remove results/one"):
        keep_tables(params, ["one"], partial=True)
    left = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert left == {path: content for path, content in before.items() if path.name != "cells.csv"}


@pytest.mark.parametrize("kept", [0, 1, -1, 0.5])
def test_a_list_of_cells_that_is_cut_off_does_not_pass_for_fewer(params: Experiments, kept: float) -> None:
    """To nothing, to its head, by its last row, or inside of a row."""
    keep_all(params)
    file = paths.RESULTS / "one/cells.csv"
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(lines[:kept]) if isinstance(kept, int) else "".join(lines)[:-100])
    for cell in params.tables["one"].cells[3:]:
        shutil.rmtree(cell.directory)
    with pytest.raises(BenchError, match=r"results/one/cells\.csv cannot be read: .*so that what would be lost is not known"):
        keep_tables(params, ["one"], partial=True)
    assert json.loads((paths.RESULTS / "one/made.json").read_text())["cells"] == len(params.tables["one"].cells)


def test_a_result_that_the_table_declares_no_more_is_not_missed(params: Experiments) -> None:
    keep_all(params)
    Path("params.yaml").write_text(Path("params.yaml").read_text().replace("seeds: [0, 1]", "seeds: [1]"))
    shutil.rmtree(params.tables["one"].cells[0].directory)
    keep_tables(load_experiments(), ["one"])
    assert json.loads((paths.RESULTS / "one/made.json").read_text())["cells"] == 5


def test_the_list_begins_with_what_means_something_and_counts_findings(params: Experiments) -> None:
    keep_all(params)
    shutil.copytree(paths.RESULTS / "one", paths.RESULTS / "an-older")
    made = paths.RESULTS / "one/made.json"
    made.write_text(json.dumps(json.loads(made.read_text()) | {"small": True}))
    Path("README.md").write_text("somebody's own\n")
    list_archived(params)
    assert Path("README.md").read_text() == "somebody's own\n", "which has no place for a list"
    listed = re.findall(r"^\| \[(.*?)\]", (paths.RESULTS / "README.md").read_text(), re.MULTILINE)
    assert listed == ["an-older", "one"]
    assert _counted(["by construction", "exploratory: holds", "holds", "undecided", "holds"]) == "holds: 2, undecided: 1"


def test_hours_are_told_by_the_kind_of_machine() -> None:
    def record(gpu: str | None, seconds: float) -> dict[str, Any]:
        return {"environment": {"gpu": gpu, "cpu": "one", "cores": 2}, "epoch_seconds": [seconds, seconds]}

    assert _hardware([record(None, 900), record(None, 900)]) == ["one, 2 cores"]
    both = _hardware([record("H200", 180), record(None, 900), record(None, 900)])
    assert both == ["H200, 2 cores (0.10 hours)", "one, 2 cores (1.00 hours)"]


@pytest.mark.figures
def test_results_are_kept_with_what_made_them(params: Experiments) -> None:
    for partial in (False, True):
        with pytest.raises(BenchError, match=r"one has cells without a current result: `slt-bench run one` makes them$"):
            keep_tables(params, ["one"], partial)
    first, *others = params.tables["one"].cells
    pretend(first, 60.0 + first.seed)
    with pytest.raises(BenchError, match="`slt-bench results one --partial` keeps those that there are"):
        keep_tables(params, ["one"])
    keep_tables(params, ["one"], partial=True)
    assert re.search(r"LEFT OUT: \d+ of (\d+) cells: ", (paths.RESULTS / "one/table.md").read_text())
    assert re.search(r"\| 1 of \d+ +\|", (paths.RESULTS / "README.md").read_text())
    for cell in others:
        pretend(cell, 60.0 + cell.seed)
    Path("README.md").write_text("before\n<!-- begin: written by `slt-bench results` -->\nold\n<!-- end -->\nafter\n")
    keep_tables(params, ["one"])
    readme, index = Path("README.md").read_text(), (paths.RESULTS / "README.md").read_text()
    assert readme.startswith("before\n") and readme.endswith("<!-- end -->\nafter\n") and "\nold\n" not in readme
    for part in ("2026-01-01", "undecided"):
        assert part in readme and part in index, part
    for part in ("one, 2 cores", "abc", "digits"):
        assert part in index, part
    assert "frozen is better" in index
    assert "(results/one/table.md)" in readme and "(one/table.md)" in index
    shown = (paths.RESULTS / "one/table.md").read_text()
    for figure in re.findall(r"!\[.*?\]\((.*?)\)", shown):
        assert (paths.RESULTS / "one" / figure).is_file()
    assert "(with claims of" not in readme
    made = paths.RESULTS / "one/made.json"
    made.write_text(made.read_text().replace("frozen is better", "frozen was better"))
    list_archived(params)
    assert "One (with claims of an earlier declaration)" in Path("README.md").read_text()
    (paths.RESULTS / "one").rename(paths.RESULTS / "other")  # of a table that is declared no more
    list_archived(params)
    assert "(results/other/table.md)" in Path("README.md").read_text()
    assert "One (under an earlier declaration)" in (paths.RESULTS / "README.md").read_text()
