"""The plan of a table with results: where each cell stands, and the time that is left."""

from __future__ import annotations

from pathlib import Path

import pytest

from slt_bench.common import paths
from slt_bench.experiment.experiments import Experiments
from slt_bench.records.checksums import write_checksums
from slt_bench.records.code_digest import cell_code
from slt_bench.run.tables.plan import plan
from tests.report.test_report import params as params  # a fixture
from tests.report.test_report import pretend, record_too, written


def test_plan_tells_done_stale_missing_and_the_time_left(params: Experiments) -> None:
    cells = params.tables["one"].cells
    pretend(cells[0], 90.0, cell_code(cells[0]))
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
    pretend(cells["ep", 0.6], 80.0, cell_code(cells["ep", 0.6]), seconds=2.0)
    pretend(cells["rand", 0.6], 10.0, cell_code(cells["rand", 0.6]), seconds=0.5)
    planned = {each.cell.id: each.seconds for each in plan(changed.tables["one"].cells)}
    assert planned[cells["ep", 0.7].id] == 2 * 2.0 and planned[cells["rand", 0.7].id] == 2 * 0.5
    iterative = next(cell for cell in changed.tables["one"].cells if cell.search_name == "iep")
    assert planned[iterative.id] == 2 * 1.25  # of no kind that ran: by all of that network


def test_a_damaged_manifest_is_told(params: Experiments, capsys: pytest.CaptureFixture[str]) -> None:
    plan(params.tables["one"].cells)
    assert "note:" not in capsys.readouterr().out  # what is not prepared is compared with nothing
    paths.dataset_dir("digits").mkdir(parents=True)
    (paths.dataset_dir("digits") / "manifest.json").write_text("{}")
    plan(params.tables["one"].cells)
    out = capsys.readouterr().out
    assert out.count("note: results are compared with each other alone: data/digits/manifest.json is damaged") == 1


def test_time_left_goes_by_machines_as_this_one_if_any_cell_ran_there(
    params: Experiments, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    first, second, third = params.tables["one"].cells[2:5]
    pretend(first, 80.0, seconds=5.0)
    path = first.directory / "search.json"
    path.write_text(path.read_text().replace('"gpu": null', '"gpu": "H200"'))
    write_checksums(first.directory)
    assert plan([first, third])[1].seconds == 2 * 5.0
    pretend(second, 80.0, seconds=17.0)
    monkeypatch.setattr("slt_bench.records.provenance._processor", lambda: ("one", 2))
    assert plan([first, second, third])[2].seconds == 2 * 17.0


def test_time_left_goes_by_results_of_these_parameters_and_by_the_recipe_first(params: Experiments) -> None:
    cells = params.tables["one"].cells
    first, second, third = [cell for cell in cells if cell.search_name == "ep" and cell.source.kind == "dense"][:3]
    pretend(first, 80.0, seconds=5.0)
    other = second.model_copy(update={"recipe_name": "other"})
    pretend(other, 80.0, seconds=50.0)
    assert plan([first, other, third])[2].seconds == 2 * 5.0
    record_too(first, {"identity": "0" * 12})  # of another width, say
    assert plan([first, other, third])[2].seconds == 2 * 50.0 and plan([first, third])[1].seconds is None
