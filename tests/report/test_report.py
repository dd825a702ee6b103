"""Tables and figures from result files, the published values, and what is unknown."""

from __future__ import annotations

import csv
import json
import re
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from slt_bench.common import paths
from slt_bench.experiment.cell import Cell
from slt_bench.experiment.experiments import Experiments
from slt_bench.experiment.load import load_experiments
from slt_bench.experiment.published import published_values
from slt_bench.records.checksums import write_checksums
from slt_bench.records.code_digest import cell_code
from slt_bench.records.history import Epoch, write_history
from slt_bench.records.result import common_images
from slt_bench.report.columns import cell_columns, line_columns
from slt_bench.report.notes import table_notes
from slt_bench.report.results import table_results
from slt_bench.report.rows import _difference, _line_row, _seconds, grid, line_rows
from slt_bench.report.verdicts.statistics import mean_and_deviation
from slt_bench.run.tables.plan import plan
from slt_bench.run.tables.reports import report_table
from tests.experiment.test_params import GOOD


@pytest.fixture
def params(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Experiments:
    monkeypatch.chdir(tmp_path)
    row = "{search: ep, sparsity: [0.2, 0.5], published: iwasawa2023-dying-20}"
    text = GOOD.replace("{search: ep, sparsity: [0.3, 0.5]}", row).replace("source: digits", "source: cifar10")
    return written(text.replace("kind: conv4, width: 0.125", "kind: resnet18"))


def written(text: str) -> Experiments:
    Path("params.yaml").write_text(text)
    return load_experiments(Path("params.yaml"))


def diverge(cell: Cell, code: str = "c0de") -> None:
    """The files that a cell leaves whose search diverged."""
    pretend(cell, 0.0, code)
    directory = cell.directory
    for name in ("ticket", "last"):
        (directory / f"{name}.safetensors").unlink()
    record = json.loads((directory / "search.json").read_text())
    (directory / "search.json").write_text(json.dumps(record | {"diverged": "epoch 1, step 3: the loss is nan"}))
    (directory / "metrics.json").write_text('{"diverged": 1}')
    write_checksums(directory)


def pretend(
    cell: Cell, top1: float, code: str = "c0de", seconds: float = 2.0, images: str = "d" * 64,
    finished: str = "2026-01-01T10:00:09+00:00", **also: int,
) -> None:  # fmt: skip
    """The files that a finished cell leaves."""
    directory = cell.directory
    metrics = {"top1": top1, "top5": 99.0, "loss": 1.0, "last_top1": top1 - 1, "bytes": 500, "total": 1000, "pruned": 100,
               "images": 200, "locked": 201, "kept": 500, "sparsity": 0.5, **also}  # fmt: skip
    counts = {"total": 1000, "pruned": 100, "locked": 201, "kept": 500}
    record = {"identity": cell.identity, "commit": "abc", "precision": "float32", "code": code,
              "layers": [{"name": "a.weight", "total": 600}, {"name": "b.weight", "total": 400}],
              "asked": counts, "realised": counts, "parent": "",
              "dying_edge_ratio": 0.25, "epoch_seconds": [seconds, seconds], "best_epoch": 1,
              "started": "2026-01-01T10:00:00+00:00", "finished": finished, "best_val_top1": 50.0,
              "data": {"origin": "digits", "digest": images, "images": {"train": 3, "val": 2, "test": 1}},
              "environment": {"libraries": {"torch": "2"}, "cpu": "one", "cores": 2, "gpu": None}}  # fmt: skip
    directory.mkdir(parents=True)
    for name in ("ticket", "last"):
        (directory / f"{name}.safetensors").touch()
    (directory / "metrics.json").write_text(json.dumps(metrics))
    (directory / "search.json").write_text(json.dumps(record))
    (directory / "confusion.json").write_text(json.dumps({"classes": ["a", "b"], "confusion": [[3, 1], [0, 2]]}))
    inside = ([0.1, 0.2, 0.3, 0.4, 0.5], [0.3, 0.2])  # score quantiles, kept share of each layer
    epochs = [Epoch(n, 0.5, 0.1, 1.0, 40.0 + n, 1.0, top1 - n, 500, 0.2, 0.1 / n, *inside) for n in (1, 2)]
    write_history(directory / "history.csv", epochs)
    write_checksums(directory)


def record_too(cell: Cell, changes: dict[str, Any]) -> None:
    """Let a result's record have other values, or more of them."""
    path = cell.directory / "search.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    write_checksums(cell.directory)


def test_times_of_unlike_machines_have_no_mean(params: Experiments) -> None:
    one, two = params.tables["one"].cells[2:4]
    pretend(one, 60.0, seconds=2.0)
    pretend(two, 60.0, seconds=4.0)
    (line,) = table_results(params.tables["one"]).lines_with_results
    assert line.epoch_seconds == 3.0
    path = two.directory / "search.json"
    path.write_text(path.read_text().replace('"gpu": null', '"gpu": "H200"'))
    write_checksums(two.directory)
    (line,) = table_results(params.tables["one"]).lines_with_results
    assert line_columns(table_results(params.tables["one"]))[1]["seconds_mean"] is None
    assert line.epoch_seconds is None and [result.epoch_seconds for result in line.results] == [2.0, 4.0]
    assert line_rows(table_results(params.tables["one"]))[1]["s / epoch"] == "—"
    report_table(params.tables["one"])
    (first, *others) = csv.DictReader(StringIO((paths.table_dir("one") / "cells.csv").read_text()))
    assert first["state"] == "missing" and first["top1"] == "" and others[1]["top1"] == "60.0", "no NaN in a file"


def test_the_time_of_an_epoch_is_the_median(params: Experiments) -> None:
    """The first is longer: it compiles, and fills the caches."""
    cell = params.tables["one"].cells[2]
    pretend(cell, 60.0)
    history = cell.directory / "history.csv"
    history.write_text(history.read_text() + history.read_text().splitlines()[-1] + "\n")
    record_too(cell, {"epoch_seconds": [9.0, 2.0, 1.0]})
    results = table_results(params.tables["one"])
    (row,) = (row for row in cell_columns(results) if row["cell"] == cell.id)
    assert (row["seconds_an_epoch"], row["seconds"]) == (2.0, 12.0)
    assert results.lines_with_results[0].epoch_seconds == 2.0


def test_the_images_of_a_result_of_other_parameters_are_not_those_of_a_table(params: Experiments) -> None:
    one, two = params.tables["one"].cells[2:4]
    pretend(one, 60.0, images="d" * 64)
    pretend(two, 60.0, images="e" * 64, finished="2026-02-02T10:00:09+00:00")
    assert common_images([one, two]) == {"digits": "e" * 64}
    path = two.directory / "search.json"
    whole = json.loads(path.read_text())
    for record in (whole | {"identity": "of another"}, {name: whole[name] for name in whole if name != "data"}):
        path.write_text(json.dumps(record))
        assert common_images([one, two]) == {"digits": "d" * 64}


def test_spread_is_the_sample_standard_deviation() -> None:
    assert mean_and_deviation([1.0, 2.0, 3.0]) == "2.00 ± 1.00"
    assert mean_and_deviation([1.0]) == "1.00 ± —" and mean_and_deviation([]) == "—"


@pytest.mark.figures
def test_a_table_shows_mean_deviation_n_published_and_counts(params: Experiments) -> None:
    cells = params.tables["one"].cells
    for cell in cells[2:4]:  # edge-popup at 0.2, both seeds
        pretend(cell, 90.0 + 2 * cell.seed)
    markdown = report_table(params.tables["one"])
    row = next(line for line in markdown.splitlines() if "| edge popup" in line and "| 0.2" in line)
    for part in (
        "91.00 ± 1.41",
        "90.00 ± 1.41",
        "| 2 ",
        "0.028 dying-edge ratio (iwasawa2023, secondary †)",
        "500",
        "88",
        "0.2500",
    ):
        assert part in row, part
    assert "LEFT OUT: 12 of 14 cells: 12 have not run yet." in markdown
    assert "STALE: 2 of 14 cells were made with other code than today's" in markdown
    other = next(line for line in markdown.splitlines() if "| weight training" in line)
    assert other.count("—") >= 6 and "| 0 " in other
    directory = paths.table_dir("one")
    rows = list(csv.DictReader((directory / "table.csv").open()))
    assert rows[1]["top1_mean"] == "91.0" and rows[1]["seeds"] == "0 1" and rows[1]["model_size_bits"] == "699"
    assert rows[1]["published_how"] == "secondary" and rows[1]["recipe.weight_decay"] == "0.0001"
    assert rows[1]["environment.cpu"] == "one" and rows[1]["requested.kept"] == "500"
    assert "\\toprule" in (directory / "table.tex").read_text()
    assert not (directory / "figures" / "accuracy-coded-size.svg").exists()  # no mask was coded
    for name in ("accuracy-size", "accuracy-sparsity", "learning-curves", "dying-edges", "mask-churn", "layer-density",
                 "score-distribution"):  # fmt: skip
        assert "<svg" in (directory / "figures" / f"{name}.svg").read_text()


def test_results_of_other_parameters_under_the_same_name_are_not_shown(params: Experiments) -> None:
    for cell in params.tables["one"].cells:
        pretend(cell, 80.0)
    Path("params.yaml").write_text(Path("params.yaml").read_text().replace("epochs: 2", "epochs: 3"))
    changed = load_experiments(Path("params.yaml"))
    assert "LEFT OUT: 14 of 14 cells: 14 are of other parameters" in report_table(changed.tables["one"])
    assert {each.standing.kind for each in plan(changed.tables["one"].cells)} == {"stale"}


@pytest.mark.parametrize(("chosen", "says"), [("train", "best validation epoch"), ("all", "last epoch, with all")])
def test_a_table_says_which_epoch_it_reports(params: Experiments, chosen: str, says: str) -> None:
    changed = written(Path("params.yaml").read_text().replace("epochs: 2", f"epochs: 2, train_on: {chosen}"))
    pretend(changed.tables["one"].cells[2], 80.0)
    markdown = report_table(changed.tables["one"])
    assert f"Test accuracy of the {says}" in markdown
    assert ("3 train, 2 validation" if chosen == "train" else "3 + 2 train") in markdown


def test_a_table_without_results_is_all_unknown(params: Experiments) -> None:
    assert "LEFT OUT: 14 of 14 cells: 14 have not run yet." in report_table(params.tables["one"])


def test_results_of_other_images_are_left_out_and_said(params: Experiments) -> None:
    first, second = params.tables["one"].cells[2:4]  # two seeds of one line
    pretend(first, 90.0, cell_code(first), images="a" * 64, finished="2026-01-01T10:00:00+00:00")
    pretend(second, 50.0, cell_code(second), images="b" * 64, finished="2026-01-02T10:00:00+00:00")
    markdown = report_table(params.tables["one"])  # nothing is prepared: the latest result decides
    row = next(line for line in markdown.splitlines() if "| edge popup" in line and "| 0.2" in line)
    assert "50.00 ± —" in row and "| 1 of 2 (1 left out, of other images) |" in row
    assert "LEFT OUT: 13 of 14 cells: 12 have not run yet; 1 is of other images." in markdown
    rows = list(csv.DictReader((paths.table_dir("one") / "table.csv").open()))
    assert rows[1]["left_out"] == "seed 0 is of other images" and rows[1]["top1_mean"] == "50.0"


@pytest.mark.parametrize("code", ["today's", "older"])
def test_a_seed_that_diverged_is_named_in_its_table(params: Experiments, code: str) -> None:
    first, second = params.tables["one"].cells[2:4]
    pretend(first, 90.0)
    diverge(second, cell_code(second) if code == "today's" else code)
    markdown = report_table(params.tables["one"])
    row = next(line for line in markdown.splitlines() if "| edge popup" in line and "| 0.2" in line)
    assert "| 1 of 2 (1 diverged, 1 shown of other code) |" in row and "| 0 of 2 (2 not run) " in markdown
    assert "1 diverged (edge popup, dense, 0.2, seed 1: epoch 1, step 3: the loss is nan" in markdown
    page = (paths.table_dir("one") / "report.html").read_text()
    assert "seed 1: diverged: epoch 1, step 3" in page
    planned = {each.cell.id: each.standing.kind for each in plan(params.tables["one"].cells)}
    assert planned[second.id] == ("stale" if code == "older" else "diverged")


@pytest.mark.parametrize("name", ["search.json", "metrics.json", "history.csv"])
@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"\xff\xfe", b'{"identity": 1}'])
@pytest.mark.parametrize("code", ["today's", "older"])
def test_a_damaged_result_is_left_out_and_said(params: Experiments, name: str, content: bytes, code: str) -> None:
    cell = params.tables["one"].cells[2]
    pretend(cell, 90.0, cell_code(cell) if code == "today's" else code)
    (cell.directory / name).write_bytes(content)
    (warning,) = table_results(params.tables["one"]).warnings
    assert re.search(r"LEFT OUT: 14 of 14 cells: (13|1) .*damaged", warning)


def test_a_result_without_its_confusion_matrix_is_left_out_and_said(params: Experiments) -> None:
    cell = params.tables["one"].cells[2]
    pretend(cell, 90.0, cell_code(cell))
    (cell.directory / "confusion.json").write_text("{}")
    (warning,) = table_results(params.tables["one"]).warnings
    assert "1 is damaged: confusion.json" in warning


def test_lines_say_what_they_were_trained_on_where_that_differs(params: Experiments) -> None:
    text = Path("params.yaml").read_text()
    whole = "  whole: {epochs: 2, batch_size: 64, learning_rate: 0.1, train_on: all}\n"
    text = text.replace("recipes:\n", f"recipes:\n{whole}")
    changed = written(text.replace("{search: training}", "{search: training, recipe: whole}"))
    cells = changed.tables["one"].cells
    pretend(next(cell for cell in cells if cell.search_name == "training"), 80.0)
    pretend(next(cell for cell in cells if cell.search_name == "ep"), 80.0)
    markdown = report_table(changed.tables["one"])
    assert "train images" in markdown
    rows = [line for line in markdown.splitlines() if line.startswith("| weight training") or line.startswith("| edge popup")]
    assert rows[0].rstrip(" |").endswith(" 5") and rows[1].rstrip(" |").endswith(" 3")
    assert "3 train, 2 validation (edge popup); 3 + 2 train (weight training)" in markdown


def test_published_values_say_how_they_were_read() -> None:
    values = published_values()
    assert str(values["iwasawa2023-iep"]) == "76 with 20 M weights (iwasawa2023, abstract †)"
    assert str(values["iwasawa2023-dying-83"]).endswith("secondary †)")


def test_numbers_of_several_formats_are_said(params: Experiments) -> None:
    """One precision is declared, and two kinds of machines realise it."""
    first, *others = params.tables["one"].cells
    for cell in (first, *others):
        pretend(cell, 60.0)
    assert not any(warning.startswith("UNLIKE") for warning in table_results(params.tables["one"]).warnings)
    record_too(first, {"precision": "tf32"})
    assert any(
        re.match(r"UNLIKE NUMBERS: of \d+ cells \d+ in float32, 1 in tf32: differences", warning)
        for warning in table_results(params.tables["one"]).warnings
    )


def test_what_may_have_other_bits_in_another_run_is_said(params: Experiments) -> None:
    first, second, *others = params.tables["one"].cells
    for cell in (first, second, *others):
        pretend(cell, 60.0)
    changes: list[tuple[Cell, dict[str, Any]]] = [
        (first, {"nondeterministic": "put_, histc", "sessions": [{"device": "H200"}, {"device": "A100"}]}),
        (second, {"sessions": [{"device": "H200"}, {}, {"device": "H200"}]}),
    ]
    for cell, change in changes:
        record_too(cell, change)
    notes = table_notes(params.tables["one"], table_results(params.tables["one"]).lines)
    assert notes[-2:] == [
        "1 of 14 cells used operations whose bits may differ from run to run: put_, histc.",
        "1 of 14 cells changed the device on the way.",
    ]


def test_versions_of_the_code_are_told_where_one_kind_of_search_has_several(params: Experiments) -> None:
    first, *others = params.tables["one"].cells
    for cell in others:
        pretend(cell, 50.0, cell_code(cell))
    pretend(first, 50.0, "0ther")
    notes = " ".join(table_notes(params.tables["one"], table_results(params.tables["one"]).lines))
    assert ("several versions of the code" in notes) == (first.code in {cell.code for cell in others})
    assert len({cell.code for cell in params.tables["one"].cells}) > 1
    assert "several versions" not in " ".join(table_notes(params.tables["one"], table_results(params.tables["one"]).lines[1:]))


def test_a_difference_has_the_interval_of_the_mean_less_the_published() -> None:
    line: Any = SimpleNamespace(values=lambda _: [71.0, 72.0, 73.0])
    published: Any = SimpleNamespace(quantity="top1", value=70.0)
    assert _difference(line, published) == "+2.00 [-0.48, +4.48]"


def test_further_seeds_are_not_compared_with_published_values(params: Experiments) -> None:
    """They were run because others had not decided."""
    for cell, ratio in zip(params.tables["one"].cells[2:4], (0.25, 0.75), strict=True):
        pretend(cell, 60.0)
        record_too(cell, {"dying_edge_ratio": ratio})
    line = next(line for line in table_results(params.tables["one"]).lines if line.published and line.results)
    of_first, of_both = (_line_row(line, seeds)["difference"] for seeds in ([0], [0, 1]))
    assert of_first == "+0.222 (n = 1)" and of_both.startswith("+0.472 [")


def test_what_would_end_a_cell_of_a_table_is_written_so_that_it_does_not() -> None:
    assert grid([{"a": "x|y\nz", "b": "1"}]).splitlines()[2] == r"| x\|y z | 1   |"
    assert "x|y" in grid([{"a": "x|y"}], "simple")


def test_long_epochs_are_written_in_figures_that_sort() -> None:
    assert [_seconds(seconds) for seconds in (0.01234, 36.34, 99.96, 1234.5, 12345.6)] == [
        "0.0123",
        "36.3",
        "100",
        "1,234",
        "12,346",
    ]
