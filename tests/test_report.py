"""Tables and figures from result files, the published values, and what is unknown."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest

from slt_bench import paths
from slt_bench.cell import Cell
from slt_bench.cells import expand
from slt_bench.history import Epoch, write_history
from slt_bench.params import Params
from slt_bench.params_file import load_params
from slt_bench.plan import plan
from slt_bench.published import published_values
from slt_bench.record import cell_code
from slt_bench.report.table import mean_and_deviation
from slt_bench.steps import report_table
from tests.test_params import GOOD


@pytest.fixture
def params(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    monkeypatch.chdir(tmp_path)
    row = "{search: ep, sparsity: [0.2, 0.5], published: iwasawa2023-dying-20}"
    text = GOOD.replace("{search: ep, sparsity: [0.3, 0.5]}", row).replace("source: digits", "source: cifar10")
    return written(text.replace("kind: conv4", "kind: resnet18"))


def written(text: str) -> Params:
    Path("params.yaml").write_text(text)
    return load_params(Path("params.yaml"))


def pretend(cell: Cell, top1: float, code: str = "c0de", seconds: float = 2.0, **also: int) -> None:
    """The files that a finished cell leaves."""
    directory = paths.cell_dir(cell.id)
    metrics = {"top1": top1, "top5": 99.0, "loss": 1.0, "last_top1": top1 - 1, "bytes": 500, "total": 1000, "pruned": 100,
               "locked": 201, "kept": 500, "sparsity": 0.5, **also}  # fmt: skip
    counts = {"total": 1000, "pruned": 100, "locked": 201, "kept": 500}
    record = {"identity": cell.identity, "commit": "abc", "precision": "float32", "code": code,
              "layers": [{"name": "a.weight", "total": 600}, {"name": "b.weight", "total": 400}],
              "asked": counts, "realised": counts, "parent": "",
              "dying_edge_ratio": 0.25, "epoch_seconds": [seconds, seconds], "best_epoch": 1,
              "started": "2026-01-01T10:00:00+00:00", "finished": "2026-01-01T10:00:09+00:00", "best_val_top1": 50.0,
              "data": {"origin": "digits", "digest": "d" * 64, "images": {"train": 3, "val": 2, "test": 1}},
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


def test_spread_is_the_sample_standard_deviation() -> None:
    assert mean_and_deviation([1.0, 2.0, 3.0]) == "2.00 ± 1.00"
    assert mean_and_deviation([1.0]) == "1.00 ± —" and mean_and_deviation([]) == "—"


def test_a_table_shows_mean_deviation_n_published_and_counts(params: Params) -> None:
    cells = expand(params, "one")
    for cell in cells[2:4]:  # edge-popup at 0.2, both seeds
        pretend(cell, 90.0 + 2 * cell.seed)
    markdown = report_table(params, "one")
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
    assert "6 of 7 lines have not run yet" in markdown
    other = next(line for line in markdown.splitlines() if "| weight training" in line)
    assert other.count("—") >= 6 and "| 0 " in other
    directory = paths.table_dir("one")
    rows = list(csv.DictReader((directory / "table.csv").open()))
    assert rows[1]["top1_mean"] == "91.0" and rows[1]["seeds"] == "0 1" and rows[1]["model_size_bits"] == "699"
    assert rows[1]["published_how"] == "secondary" and rows[1]["recipe.weight_decay"] == "0.0001"
    assert rows[1]["environment.cpu"] == "one" and rows[1]["asked.kept"] == "500"
    assert "\\toprule" in (directory / "table.tex").read_text()
    for name in ("accuracy-size", "accuracy-sparsity", "learning-curves", "dying-edges", "mask-churn", "layer-density",
                 "score-distribution"):  # fmt: skip
        assert (directory / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert "<svg" in (directory / "figures" / f"{name}.svg").read_text()


@pytest.mark.slow
def test_figures_are_the_same_bytes_every_time(params: Params) -> None:
    for cell in expand(params, "one")[:4]:
        pretend(cell, 80.0 + cell.seed)
    report_table(params, "one")
    first = {path.name: path.read_bytes() for path in (paths.table_dir("one") / "figures").glob("*.svg")}
    report_table(params, "one")
    assert first == {path.name: path.read_bytes() for path in (paths.table_dir("one") / "figures").glob("*.svg")}


def test_results_of_other_parameters_under_the_same_name_are_not_shown(params: Params) -> None:
    for cell in expand(params, "one"):
        pretend(cell, 80.0)
    Path("params.yaml").write_text(Path("params.yaml").read_text().replace("epochs: 2", "epochs: 3"))
    changed = load_params(Path("params.yaml"))
    assert "7 of 7 lines have not run yet" in report_table(changed, "one")
    assert {each.status for each in plan(expand(changed, "one"))} == {"stale"}


@pytest.mark.parametrize(("chosen", "says"), [("train", "best validation epoch"), ("all", "last epoch, with all")])
def test_a_table_says_which_epoch_it_reports(params: Params, chosen: str, says: str) -> None:
    changed = written(Path("params.yaml").read_text().replace("epochs: 2", f"epochs: 2, train_on: {chosen}"))
    pretend(expand(changed, "one")[2], 80.0)
    markdown = report_table(changed, "one")
    assert f"Test accuracy of the {says}" in markdown
    assert ("3 train, 2 validation" if chosen == "train" else "3 + 2 train") in markdown


def test_a_figure_that_results_no_longer_allow_is_removed(params: Params) -> None:
    pretend(expand(params, "one")[2], 80.0)
    report_table(params, "one")
    figures = paths.table_dir("one") / "figures"
    assert (figures / "learning-curves.svg").is_file()
    changed = written(Path("params.yaml").read_text().replace("epochs: 2", "epochs: 2, train_on: all"))
    shutil.rmtree(paths.cell_dir(expand(params, "one")[2].id))
    pretend(expand(changed, "one")[2], 80.0)
    report_table(changed, "one")
    assert (figures / "accuracy-size.svg").is_file() and not (figures / "learning-curves.svg").exists()


def test_a_table_without_results_is_all_unknown(params: Params) -> None:
    assert "7 of 7 lines have not run yet" in report_table(params, "one")


def test_plan_tells_done_stale_missing_and_the_time_left(params: Params) -> None:
    cells = expand(params, "one")
    pretend(cells[0], 90.0, cell_code())
    pretend(cells[1], 90.0, "older code")
    planned = {each.cell.id: each for each in plan(cells)}
    assert [planned[cell.id].status for cell in cells[:3]] == ["done", "stale", "missing"]
    (paths.cell_dir(cells[0].id) / "ticket.safetensors").unlink()
    assert plan(cells)[0].status == "stale"  # as for those that run it
    assert planned[cells[0].id].seconds == 4.0
    assert planned[cells[2].id].seconds == pytest.approx(2 * 2.0)  # two epochs at two seconds


def test_published_values_say_how_they_were_read() -> None:
    values = published_values()
    assert str(values["iwasawa2023-iep"]) == "76 with 20 M weights (iwasawa2023, abstract †)"
    assert str(values["iwasawa2023-dying-83"]).endswith("secondary †)")
