"""A table's results for Python, DVC and the terminal: one frame, one file of metrics, one short table."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Collection, Sequence
from pathlib import Path

import pytest
from ruamel.yaml import YAML

import slt_bench
from slt_bench.common import paths
from slt_bench.common.errors import BenchError
from slt_bench.experiment.cell import Cell
from slt_bench.experiment.experiments import Experiments
from slt_bench.experiment.load import load_experiments
from slt_bench.records.code_digest import cell_code
from slt_bench.records.result import Result
from slt_bench.report.results import table_results
from slt_bench.report.terminal import short_table
from slt_bench.run.tables.reports import report_table, show_table
from tests.experiment.test_params import GOOD, ROOT
from tests.report.test_claims import CLAIMS, TEXT
from tests.report.test_report import diverge, pretend


@pytest.fixture
def experiments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Experiments:
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(TEXT + CLAIMS)
    return load_experiments(Path("params.yaml"))


def test_a_frame_has_a_row_a_cell_with_all_that_is_known_of_it(experiments: Experiments) -> None:
    done, stale, diverged, other, *missing = experiments.tables["one"].cells
    pretend(done, 80.0, cell_code(done), mask_packed_bytes=77)
    pretend(stale, 81.0, "older")
    diverge(diverged, cell_code(diverged))
    pretend(other, 82.0)
    record = other.directory / "search.json"
    record.write_text(record.read_text().replace(other.identity, "0" * 12))
    frame = slt_bench.results("one").set_index("cell")
    assert list(frame.index) == [cell.id for cell in experiments.tables["one"].cells]
    assert frame.state.tolist() == ["done", "stale", "diverged", "left out", *["missing"] * len(missing)]
    assert frame.reason.tolist()[:4] == [
        "",
        "of other code",
        "epoch 1, step 3: the loss is nan",
        "of other parameters and code",
    ]
    assert frame.top1.tolist()[:2] == [80.0, 81.0] and frame.top1[2:].isna().all() and math.isnan(frame.bytes.iloc[-1])
    row = frame.loc[done.id]
    expected = {
        "setting": done.setting, "identity": done.identity, "method": "weight training", "source": "dense", "seed": 0,
        "table": "one", "network_name": "tiny", "recipe.learning_rate": 0.1, "sparsity": 0.0, "actual.sparsity": 0.5,
        "last_top1": 79.0, "bytes": 500, "mask_packed_bytes": 77, "requested.kept": 500, "actual.kept": 500, "kept": 500,
        "precision": "float32", "commit": "abc", "code": cell_code(done), "data.digest": "d" * 64, "data.origin": "digits",
        "environment.cpu": "one", "environment.libraries.torch": "2", "seconds": 4.0, "dying_edge_ratio": 0.25,
        "best_epoch": 1, "started": "2026-01-01T10:00:00+00:00", "finished": "2026-01-01T10:00:09+00:00",
    }  # fmt: skip
    assert {name: row[name] for name in expected} == expected
    assert frame.loc[missing[-1].id, "source.prune_ratio"] == 0.1  # parameters are there without a result
    assert frame["dataset.mean"].iloc[0] == (0.3, 0.3, 0.3) and frame.groupby("dataset.mean").ngroups == 1
    assert list(frame.columns).index("search.selection") == list(frame.columns).index("search.kind") + 1


def test_a_frame_that_cannot_be_made_says_why(experiments: Experiments, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BenchError, match="there is no table 'ones'; did you mean 'one'"):
        slt_bench.results("ones")
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(BenchError, match=r"pandas is not installed: `pip install 'slt-bench\[pipeline\]'`"):
        slt_bench.results("one")
    Path("elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    with pytest.raises(BenchError, match=r"there is no params.yaml in .*elsewhere: results are read in the root of a project"):
        slt_bench.results("one")


def test_a_cell_that_only_gives_its_ticket_is_in_the_frame_and_in_no_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = GOOD.index("      - {search: training}")
    source = "{prune_ratio: 0.5, layout: from_ticket, ticket: {search: ep, sparsity: 0.5}}"
    Path("params.yaml").write_text(f"{GOOD[:rows]}      - {{search: training, source: {source}}}\n")
    results = table_results(load_experiments(Path("params.yaml")).tables["one"])
    assert [line.cell.search_name for line in results.lines] == ["training"]
    frame = slt_bench.results("one")
    assert frame.method.tolist() == ["edge popup", "weight training"] * 2 and frame.shown.tolist() == [False, True] * 2


def test_metrics_for_dvc_have_one_short_entry_a_line_with_results(experiments: Experiments) -> None:
    for cell in experiments.tables["one"].cells[:3]:
        pretend(cell, 80.0 + cell.seed)
    report_table(experiments.tables["one"])
    assert json.loads((paths.table_dir("one") / "metrics.json").read_text()) == {
        "weight training, dense, s = 0": {"top1": 80.5, "top1_std": 0.7071, "n": 2, "bytes": 500},
        "edge popup, dense, s = 0.3": {"top1": 80.0, "n": 1, "bytes": 500},
    }


def test_dvc_knows_every_file_of_a_report(experiments: Experiments) -> None:
    pretend(experiments.tables["one"].cells[2], 80.0)
    report_table(experiments.tables["one"])
    stage = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]["table"]["do"]
    outs = [path.replace("${key}", "one") for kind in ("outs", "metrics", "plots") for path in stage[kind]]
    assert sorted(outs) == sorted(map(str, paths.table_dir("one").iterdir()))


def test_metrics_of_several_networks_and_of_lines_that_read_alike_are_told_apart(experiments: Experiments) -> None:
    text = TEXT.replace("  tiny: {", "  small: {kind: resnet18}\n  tiny: {").replace("network: tiny", "network: [tiny, small]")
    Path("params.yaml").write_text(text + "      - {label: training, search: [ep, iep], sparsity: 0.7}\n")
    experiments = load_experiments(Path("params.yaml"))
    for cell in experiments.tables["one"].cells:
        pretend(cell, 80.0)
    report_table(experiments.tables["one"])
    assert "| network " in short_table(table_results(experiments.tables["one"]))
    names = json.loads((paths.table_dir("one") / "metrics.json").read_text())
    assert len(names) == len(table_results(experiments.tables["one"]).lines)
    assert {"tiny, training [ep], dense, s = 0.7", "small, training [iep], dense, s = 0.7"} <= set(names)


def test_the_short_table_fits_a_terminal_and_says_what_to_mind(experiments: Experiments) -> None:
    for cell in experiments.tables["one"].cells[2:]:
        pretend(cell, 60.0 + cell.seed + (10 + cell.seed / 9 if cell.source.freezing_ratio and cell.sparsity > 0.4 else 0))
    title, table, *rest = short_table(table_results(experiments.tables["one"])).split("\n\n")
    assert title == "One"
    header = [name.strip() for name in table.splitlines()[0].strip("|").split("|")]
    assert header == ["method", "source", "sparsity", "test top-1 (%)", "n", "file (bytes)"]
    assert len(table.splitlines()) == 2 + 5 and max(map(len, table.splitlines())) <= 120
    left_out, stale, claims, report = rest
    assert left_out.startswith("LEFT OUT: 2 of 10 cells") and stale.startswith("STALE: 8 of 10 cells")
    assert report == "report: outputs/tables/one/report.html"
    assert len(claims.splitlines()) == 4
    assert (
        "holds: by up to 10.06 [8.64, 11.47] points (edge popup, pruned 10 % + locked 20 % (epl), tiny, digits, s = 0.5, "
        "over edge popup, dense, tiny, digits, s = 0.5)" in (claims.splitlines())
    )


def test_after_a_run_the_report_and_the_way_to_compare_are_named(
    experiments: Experiments, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tracked = []

    def track(table: str, results: Sequence[Result], cells: Collection[Cell]) -> tuple[str, int]:
        tracked.append((table, len(results), len(cells)))
        return "7", 2

    monkeypatch.setattr("slt_bench.tracking.runs.track", track)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    for cell in experiments.tables["one"].cells[:2]:
        pretend(cell, 60.0)
    show_table(experiments.tables["one"])
    *_, report, compare = capsys.readouterr().out.splitlines()
    assert report == "report: outputs/tables/one/report.html" and Path(report.removeprefix("report: ")).is_file()
    assert compare.startswith("MLflow: 2 runs written for one. Compare: start `mlflow ui`, open http://127.0.0.1:5000/#/")
    assert tracked == [("one", 2, len(experiments.tables["one"].all_cells))]
