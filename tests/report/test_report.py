"""Tables and figures from result files, the published values, and what is unknown."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path

import pytest

from slt_bench.common import paths
from slt_bench.common.errors import BenchError
from slt_bench.experiment.cell import Cell
from slt_bench.experiment.experiments import Experiments
from slt_bench.experiment.load import load_experiments
from slt_bench.experiment.published import published_values
from slt_bench.records.checksums import write_checksums
from slt_bench.records.code_digest import cell_code
from slt_bench.records.history import Epoch, write_history
from slt_bench.report.statistics import mean_and_deviation
from slt_bench.run.plan import plan
from slt_bench.run.tasks import report_table
from tests.experiment.test_params import GOOD


@pytest.fixture
def params(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Experiments:
    monkeypatch.chdir(tmp_path)
    row = "{search: ep, sparsity: [0.2, 0.5], published: iwasawa2023-dying-20}"
    text = GOOD.replace("{search: ep, sparsity: [0.3, 0.5]}", row).replace("source: digits", "source: cifar10")
    return written(text.replace("kind: conv4", "kind: resnet18"))


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
               "locked": 201, "kept": 500, "sparsity": 0.5, **also}  # fmt: skip
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


def test_spread_is_the_sample_standard_deviation() -> None:
    assert mean_and_deviation([1.0, 2.0, 3.0]) == "2.00 ± 1.00"
    assert mean_and_deviation([1.0]) == "1.00 ± —" and mean_and_deviation([]) == "—"


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
        assert (directory / "png" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert "<svg" in (directory / "figures" / f"{name}.svg").read_text()


@pytest.mark.slow
def test_figures_are_the_same_bytes_every_time(params: Experiments) -> None:
    for cell in params.tables["one"].cells[:4]:
        pretend(cell, 80.0 + cell.seed)
    report_table(params.tables["one"])
    first = {path.name: path.read_bytes() for path in (paths.table_dir("one") / "figures").glob("*.svg")}
    report_table(params.tables["one"])
    assert first == {path.name: path.read_bytes() for path in (paths.table_dir("one") / "figures").glob("*.svg")}


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
    before = {path.name: path.read_bytes() for path in (*figures.iterdir(), *(paths.table_dir("one") / "png").iterdir())}

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("slt_bench.report.figures.draw._save", fail)
    with pytest.raises(BenchError, match=r"cannot write outputs/tables/one/figures: No space left on device"):
        report_table(params.tables["one"])
    after = {path.name: path.read_bytes() for path in (*figures.iterdir(), *(paths.table_dir("one") / "png").iterdir())}
    assert after == before and any(name.endswith(".png") for name in before)
    assert not list(paths.table_dir("one").glob(".*"))


def test_a_table_without_results_is_all_unknown(params: Experiments) -> None:
    assert "LEFT OUT: 14 of 14 cells: 14 have not run yet." in report_table(params.tables["one"])


def test_plan_tells_done_stale_missing_and_the_time_left(params: Experiments) -> None:
    cells = params.tables["one"].cells
    pretend(cells[0], 90.0, cell_code())
    pretend(cells[1], 90.0, "older code")
    planned = {each.cell.id: each for each in plan(cells)}
    assert [planned[cell.id].standing.kind for cell in cells[:3]] == ["done", "stale", "missing"]
    assert planned[cells[1].id].standing.reason == "of other code"
    (cells[0].directory / "ticket.safetensors").unlink()
    assert plan(cells)[0].standing.reason == "without its ticket.safetensors"  # as for those that run it
    assert planned[cells[0].id].seconds == 4.0
    assert planned[cells[2].id].seconds == pytest.approx(2 * 2.0)  # two epochs at two seconds


def test_time_left_goes_by_the_kind_of_search(params: Experiments) -> None:
    row = "      - {search: [ep, rand], sparsity: [0.6, 0.7]}\n"
    text = Path("params.yaml").read_text().replace("searches:\n", "searches:\n  rand: {kind: random-mask}\n")
    changed = written(text + row)
    cells = {(cell.search_name, cell.sparsity): cell for cell in changed.tables["one"].cells if cell.source.kind == "dense"}
    pretend(cells["ep", 0.6], 80.0, cell_code(), seconds=2.0)
    pretend(cells["rand", 0.6], 10.0, cell_code(), seconds=0.5)
    planned = {each.cell.id: each.seconds for each in plan(changed.tables["one"].cells)}
    assert planned[cells["ep", 0.7].id] == 2 * 2.0 and planned[cells["rand", 0.7].id] == 2 * 0.5
    iterative = next(cell for cell in changed.tables["one"].cells if cell.search_name == "iep")
    assert planned[iterative.id] == 2 * 1.25  # of no kind that ran: by all of that network


def test_results_of_other_images_are_left_out_and_said(params: Experiments) -> None:
    first, second = params.tables["one"].cells[2:4]  # two seeds of one line
    pretend(first, 90.0, cell_code(), images="a" * 64, finished="2026-01-01T10:00:00+00:00")
    pretend(second, 50.0, cell_code(), images="b" * 64, finished="2026-01-02T10:00:00+00:00")
    markdown = report_table(params.tables["one"])  # nothing is prepared: the latest result decides
    row = next(line for line in markdown.splitlines() if "| edge popup" in line and "| 0.2" in line)
    assert "50.00 ± —" in row and "| 1 of 2 |" in row
    assert "LEFT OUT: 13 of 14 cells: 12 have not run yet; 1 is of other images." in markdown
    rows = list(csv.DictReader((paths.table_dir("one") / "table.csv").open()))
    assert rows[1]["left_out"] == "seed 0 is of other images" and rows[1]["top1_mean"] == "50.0"


def test_a_damaged_manifest_is_told(params: Experiments, capsys: pytest.CaptureFixture[str]) -> None:
    plan(params.tables["one"].cells)
    assert "note:" not in capsys.readouterr().out  # what is not prepared is compared with nothing
    paths.dataset_dir("digits").mkdir(parents=True)
    (paths.dataset_dir("digits") / "manifest.json").write_text("{}")
    plan(params.tables["one"].cells)
    out = capsys.readouterr().out
    assert out.count("note: results are compared with each other alone: data/digits/manifest.json is damaged") == 1


@pytest.mark.parametrize("code", [cell_code(), "older"])
def test_a_seed_that_diverged_is_named_in_its_table(params: Experiments, code: str) -> None:
    first, second = params.tables["one"].cells[2:4]
    pretend(first, 90.0)
    diverge(second, code)
    markdown = report_table(params.tables["one"])
    assert "| 1 of 2 |" in next(line for line in markdown.splitlines() if "| edge popup" in line and "| 0.2" in line)
    assert "1 diverged (edge popup, dense, 0.2, seed 1: epoch 1, step 3: the loss is nan" in markdown
    page = (paths.table_dir("one") / "report.html").read_text()
    assert "seed 1: diverged: epoch 1, step 3" in page
    planned = {each.cell.id: each.standing.kind for each in plan(params.tables["one"].cells)}
    assert planned[second.id] == ("stale" if code == "older" else "diverged")


@pytest.mark.parametrize("name", ["search.json", "metrics.json", "history.csv"])
@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"\xff\xfe", b'{"identity": 1}'])
def test_a_damaged_result_is_left_out_and_said(params: Experiments, name: str, content: bytes) -> None:
    cell = params.tables["one"].cells[2]
    pretend(cell, 90.0)
    (cell.directory / name).write_bytes(content)
    assert re.search(r"LEFT OUT: 14 of 14 cells: (13|1) .*damaged", report_table(params.tables["one"]))


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
