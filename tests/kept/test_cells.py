"""A kept table goes on where its cells were never run: their results come back from results/."""

from __future__ import annotations

import io
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from slt_bench.cli.commands import invoke
from slt_bench.common import paths
from slt_bench.common.errors import BenchError
from slt_bench.data.manifest import read_manifest
from slt_bench.experiment.cell import Cell
from slt_bench.experiment.experiments import Experiments
from slt_bench.experiment.load import load_experiments
from slt_bench.kept.cells import NAME, keep_cells, restore_cells
from slt_bench.kept.tickets import _ticket_of
from slt_bench.params.sources import Source
from slt_bench.records.checksums import write_checksums
from slt_bench.records.result import Result
from slt_bench.records.standing import cell_standing
from slt_bench.report.results import table_results
from slt_bench.run.tables.reports import keep_tables
from tests.report.test_claims import TEXT
from tests.report.test_report import diverge, pretend
from tests.run.test_decide import CLAIMS as LOOKS
from tests.toys_results import read_results


@pytest.fixture
def kept(params: Experiments) -> Path:
    """The archive of a table whose cells all seem to have run, and whose report has no figures."""
    for cell in params.tables["one"].cells:
        pretend(cell, 60.0 + cell.seed)
    keep_tables(params, ["one"])
    return paths.RESULTS / "one" / NAME


def test_what_is_kept_makes_the_same_table_elsewhere(
    params: Experiments, kept: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, archive = params.tables["one"], kept.read_bytes()
    before = {name: (paths.RESULTS / "one" / name).read_bytes() for name in ("table.md", "cells.csv", "made.json")}
    untouched = table.cells[0].directory / "ticket.safetensors"
    untouched.write_bytes(b"mine")
    for cell in table.cells[1:]:
        shutil.rmtree(cell.directory)
    invoke(["results", "--restore", "one"])
    count = len(table.cells) - 1
    assert (
        f"one: {count} results are in outputs/cells/one again, without their tickets. `slt-bench report one"
        in capsys.readouterr().out
    )
    shutil.rmtree(table.cells[1].directory)
    table.cells[1].directory.mkdir()
    (table.cells[1].directory / "thesis.txt").touch()
    assert restore_cells(table) == ([], []), "what a user has put there stays"
    (table.cells[1].directory / "thesis.txt").unlink()
    assert restore_cells(table) == ([table.cells[1]], [])
    assert untouched.read_bytes() == b"mine" and restore_cells(table) == ([], [])
    keep_tables(params, ["one"])
    assert {name: (paths.RESULTS / "one" / name).read_bytes() for name in before} == before and kept.read_bytes() == archive


def test_cells_of_further_seeds_come_back_too(params: Experiments) -> None:
    Path("params.yaml").write_text(TEXT + LOOKS)
    table = (experiments := load_experiments()).tables["one"]
    cells = [*table.cells, table.spare_cells[0]]
    for cell in cells:
        pretend(cell, 60.0)
    keep_tables(experiments, ["one"])
    shutil.rmtree("outputs")
    assert {cell.id for cell in restore_cells(table)[0]} == {cell.id for cell in cells}


def test_a_restored_result_is_compared_and_is_no_ticket(params: Experiments, kept: Path) -> None:
    table, cell = params.tables["one"], params.tables["one"].cells[2]
    shutil.rmtree(cell.directory)
    restore_cells(table)
    standing = cell_standing(cell, None)
    assert standing.is_comparable and not standing.is_result
    assert standing.reason == "of other code, without its ticket.safetensors, without its last.safetensors"
    outcome = table_results(table).outcomes[cell.id]
    assert isinstance(outcome, Result) and outcome.stale == "of other code"
    (cell.directory / "metrics.json").write_text("{}")
    assert not cell_standing(cell, None).is_comparable, "a ticket that is not there hides no damage"


def test_cells_that_are_declared_no_more_are_named(params: Experiments, kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree("outputs")
    text = Path("params.yaml").read_text()
    Path("params.yaml").write_text(text.replace("seeds: [0, 1]", "seeds: [1]"))
    invoke(["results", "--restore", "one"])
    assert "; 5 are left out, of cells that it declares no more. " in capsys.readouterr().out


def test_a_child_is_compared_though_the_ticket_of_its_parent_is_gone(project: Path, make_cell: Callable[..., Cell]) -> None:
    parent = make_cell(sparsity=0.8)
    child = make_cell(source=Source(prune_ratio=0.8, layout="from_ticket", parent=parent.as_parent()))
    pretend(parent, 60.0)
    pretend(child, 60.0)
    record, digest = child.directory / "search.json", cell_standing(child, None).reason
    assert "of other ticket of its parent and code" in digest
    checksums = (parent.directory / "SHA256SUMS").read_text()
    of_parent = next(line[:12] for line in checksums.splitlines() if line.endswith("  ticket.safetensors"))
    record.write_text(record.read_text().replace('"parent": ""', f'"parent": "{of_parent}"'))
    write_checksums(child.directory)
    assert cell_standing(child, None).reason == "of other code"
    (parent.directory / "ticket.safetensors").unlink()
    standing = cell_standing(child, None)
    assert standing.reason == "of other code, without its parent's ticket" and standing.is_comparable
    (parent.directory / "SHA256SUMS").write_text(checksums.replace(of_parent, "0" * 12))
    assert not cell_standing(child, None).is_comparable


def _add(archive: Path, name: str) -> None:
    with tarfile.open(archive, "w:xz") as tar:
        entry = tarfile.TarInfo(name)
        entry.size = 2
        tar.addfile(entry, io.BytesIO(b"{}"))


def test_an_archive_that_is_missing_or_damaged_is_named(params: Experiments, kept: Path) -> None:
    table = params.tables["one"]
    kept.write_bytes(kept.read_bytes()[:-100])
    with pytest.raises(BenchError, match=r"results/one/cells\.tar\.xz is damaged: "):
        restore_cells(table)
    for name in ("../metrics.json/metrics.json", "x/ticket.safetensors", "metrics.json"):
        _add(kept, name)
        with pytest.raises(BenchError, match="is no result file of a cell"):
            restore_cells(table)
    kept.unlink()
    with pytest.raises(BenchError, match="is not there: this table is not kept, or without the results of its cells"):
        restore_cells(table)


def test_a_divergence_is_kept_and_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(TEXT)
    experiment = load_experiments(Path("params.yaml")).tables["one"]
    diverge(cell := experiment.cells[2])
    (paths.RESULTS / "one").mkdir(parents=True)
    keep_cells(table_results(experiment), paths.RESULTS / "one")
    shutil.rmtree(cell.directory)
    assert restore_cells(experiment) == ([cell], [])
    record = cell_standing(cell, None).record
    assert record is not None and record["diverged"]


def test_a_kept_ticket_of_other_images_is_not_taken(project: Path, make_cell: Callable[..., Cell]) -> None:
    pretend(cell := make_cell(), 60.0, images=read_manifest(Path("data/digits")).digest)
    (cell.directory / "ticket.safetensors").unlink()
    (result,) = read_results([cell])
    kept = {"top1": 60.0, "digest": result.record["data"]["digest"], "file": Path("x")}
    assert _ticket_of(result, {cell.id: kept}) == Path("x")
    assert _ticket_of(result, {cell.id: kept | {"digest": "0" * 64}}) is None


def test_what_stands_in_the_place_of_a_folder_stays(
    params: Experiments, kept: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, *others = (cell.directory for cell in params.tables["one"].cells)
    for folder in (file, *others):
        shutil.rmtree(folder)
    file.write_text("mine")
    invoke(["results", "--restore", "one"])
    assert file.read_text() == "mine" and all(folder.is_dir() for folder in others)
    assert "what 1 other folders held was left as it is" in capsys.readouterr().out
