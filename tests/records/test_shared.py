"""Results that tables share, that no table declares, and that were damaged."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from slt_bench.common import paths
from slt_bench.experiment.cell import Cell
from slt_bench.params.machine import Machine
from slt_bench.records import provenance
from slt_bench.records.checksums import OF_A_SEARCH, damaged_files, write_checksums
from slt_bench.records.leftovers import leftovers
from slt_bench.records.result import common_images
from slt_bench.records.shared import set_aside, set_tables_aside, take_from_others
from slt_bench.records.standing import cell_standing, gives_ticket, is_done, search_standing
from slt_bench.run.evaluate import evaluate
from slt_bench.run.many import Places
from slt_bench.run.tables import targets
from slt_bench.run.tables.plan import plan
from slt_bench.search.run import search
from tests.report.test_report import pretend


@pytest.fixture
def done(project: Path, make_cell: Callable[..., Cell]) -> Cell:
    """A cell that was searched and evaluated."""
    cell = make_cell(recipe={"epochs": 1})
    search(cell)
    evaluate(cell.directory, paths.dataset_dir(cell.dataset_name))
    return cell


def test_another_table_takes_the_result_and_nothing_is_run(done: Cell) -> None:
    other = done.model_copy(update={"table": "two"})
    unlike = done.model_copy(update={"table": "two", "seed": 5})
    assert not is_done(other) and other.identity == done.identity
    assert take_from_others([other, unlike]) == [other]
    assert is_done(other) and not is_done(unlike)
    for file in done.directory.iterdir():
        assert (other.directory / file.name).read_bytes() == file.read_bytes()
    assert take_from_others([other]) == []


def test_what_is_damaged_or_not_of_today_is_not_taken(done: Cell) -> None:
    other = done.model_copy(update={"table": "two"})
    (done.directory / "last.safetensors").write_bytes(b"damaged")
    assert take_from_others([other]) == [] and not other.directory.exists()
    assert take_from_others([other.model_copy(update={"sparsity": 0.4})]) == []


@pytest.mark.parametrize("name", [*OF_A_SEARCH, "metrics.json", "confusion.json", "SHA256SUMS"])
@pytest.mark.parametrize("damage", ["changed", "removed"])
def test_damage_is_noticed(done: Cell, name: str, damage: str) -> None:
    file = done.directory / name
    assert is_done(done) and damaged_files(done.directory) == []
    file.unlink() if damage == "removed" else file.write_bytes(file.read_bytes() + b" ")
    if (name, damage) != ("SHA256SUMS", "removed"):
        assert damaged_files(done.directory)
    assert not is_done(done) and plan([done], tickets=True)[0].is_left  # what a run announces
    assert search_standing(done).is_result == (name not in OF_A_SEARCH)
    if name.endswith(".json") and damage == "changed":  # tables and plans see it too
        assert cell_standing(done, None).reason == f"damaged: {name}"


def test_what_a_table_declares_no_more_is_set_aside_and_comes_back(done: Cell) -> None:
    kept = done.model_copy(update={"seed": 7})
    kept.directory.mkdir()
    (moved,) = set_aside("one", [kept])
    assert moved == paths.SET_ASIDE / "one" / done.id and not done.directory.exists() and kept.directory.exists()
    assert take_from_others([done]) == [done] and is_done(done)
    unfinished = done.directory.with_name(f".{done.id}.1.tmp")  # another process is at it
    unfinished.mkdir()
    (unfinished / "search.json").touch()
    assert set_aside("one", [done, kept]) == [] == set_aside("nothing", [])


def test_what_was_found_with_other_parameters_is_set_aside_and_comes_back(done: Cell) -> None:
    """Parameters are edited, the cell is run, and they are put back."""
    edited = done.model_copy(update={"recipe": done.recipe.model_copy(update={"learning_rate": 0.2})})
    assert edited.id == done.id and edited.identity != done.identity
    search(edited)
    evaluate(edited.directory, paths.dataset_dir(edited.dataset_name))
    assert is_done(edited) and not is_done(done)
    assert [path.name for path in (paths.SET_ASIDE / "one").iterdir()] == [f"{done.id}.{done.identity}"]
    for cell in (done, edited, done):  # back and forth, nothing is searched
        assert take_from_others([cell]) == [cell] and is_done(cell)
    search(done)
    assert (paths.SET_ASIDE / "one" / f"{done.id}.{edited.identity}").is_dir()


def test_a_divergence_replaces_no_result_of_other_parameters(done: Cell) -> None:
    wild = done.model_copy(update={"recipe": done.recipe.model_copy(update={"learning_rate": 1e37})})
    assert "diverged" in (search(wild) or {})
    assert take_from_others([done]) == [done] and is_done(done)


def test_a_search_that_was_only_begun_replaces_no_result_that_was_set_aside(done: Cell) -> None:
    (moved,) = set_aside("one", ())
    done.directory.mkdir()  # as a search of other parameters does at its start
    assert set_aside("one", ()) == [] and not done.directory.exists()
    copied = paths.CELLS / "one" / "my copies" / "cell"  # what a user has put there is no empty folder
    copied.mkdir(parents=True)
    (copied / "search.json").write_text("{}")
    (mine,) = set_aside("one", ())
    assert (mine / "cell/search.json").is_file() and mine == paths.SET_ASIDE / "one/my copies"
    assert (moved / "metrics.json").is_file() and take_from_others([done]) == [done]


def test_no_result_that_was_set_aside_is_replaced_by_another_of_its_name(done: Cell) -> None:
    (first,) = set_aside("one", ())
    pretend(done, 50.0)
    (second,) = set_aside("one", ())
    assert (first.name, second.name) == (done.id, f"{done.id}.2") and "50.0" in (second / "metrics.json").read_text()
    assert take_from_others([done]) == [done] and is_done(done), "the first one is found again"
    assert set_aside("one", ()) == [first] and len(list(first.parent.iterdir())) == 2, "the same result lies there once"
    (first / "ticket.safetensors").unlink()
    shutil.copytree(second, done.directory)
    assert set_aside("one", ()) == [second], "it is looked for under all of its names"
    shutil.copytree(first, done.directory)
    assert set_aside("one", ()) == [first.with_name(f"{done.id}.3")], "what lacks a ticket stands for nothing else"


def test_a_single_cell_takes_what_another_table_has(done: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    other = done.model_copy(update={"table": "two"})
    monkeypatch.setattr(targets, "prepare_missing", lambda *_: None)
    monkeypatch.setattr(targets, "_cells_of", lambda *_: [other])
    ran = list[bool]()
    monkeypatch.setattr(targets, "run_cell", lambda _, cell: ran.append(is_done(cell)))
    experiments: Any = SimpleNamespace(params=SimpleNamespace(machine=Machine()), tables={})
    targets.run_targets(experiments, [other.id, other.id], Places())
    assert ran == [True]


def test_digests_that_are_cut_off_are_damage(done: Cell) -> None:
    sums = done.directory / "SHA256SUMS"
    lines = sums.read_text().splitlines(keepends=True)
    for kept in (lines[:0], lines[:-1], lines[1:]):
        sums.write_text("".join(kept))
        assert damaged_files(done.directory) == ["SHA256SUMS"] and not is_done(done)


@pytest.mark.parametrize("change", [{"data": None}, {"environment": None}, {"epoch_seconds": None}, {"epoch_seconds": ["x"]}])
def test_a_record_that_somebody_changed_is_not_read(done: Cell, change: dict[str, Any]) -> None:
    path = done.directory / "search.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    assert plan([done])[0].standing.kind == "stale" and plan([done])[0].standing.record is None
    assert common_images([done])[done.dataset_name] is not None
    shutil.rmtree("data")
    assert common_images([done])[done.dataset_name] is None and plan([done])[0].is_left


def test_the_commit_is_that_of_this_code_and_not_of_a_project_that_has_it_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run([*git, "init", "-q"], check=True)
    (tmp_path / ".gitignore").write_text("lib\n")
    package = tmp_path / "lib/slt_bench"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-qm", "theirs"], check=True)
    monkeypatch.setattr(provenance, "PACKAGE", package)
    assert provenance.code_version.__wrapped__() == "unknown"
    subprocess.run([*git, "add", "-f", "lib"], check=True)
    subprocess.run([*git, "commit", "-qm", "ours"], check=True)
    (tmp_path / ".gitignore").unlink()
    monkeypatch.chdir(tmp_path / "lib")
    (package.parent / "search.py").touch()
    assert provenance.code_version.__wrapped__()[12:] == "+", "a search of one's own here"
    (package.parent / "search.py").unlink()
    assert len(provenance.code_version.__wrapped__()) == 12
    project = tmp_path / "project"
    project.mkdir()
    monkeypatch.chdir(project)
    assert len(provenance.code_version.__wrapped__()) == 12
    (project / "search.py").touch()
    assert provenance.code_version.__wrapped__()[12:] == "+", "and one elsewhere"


def test_tables_that_are_gone_leave_the_outputs(done: Cell) -> None:
    (paths.table_dir("gone")).mkdir(parents=True)
    assert set_tables_aside(["one"]) == [paths.SET_ASIDE / "gone.report"]
    before = paths.SET_ASIDE / "one" / "earlier"  # a cell of it that was set aside before stays
    before.mkdir(parents=True)
    assert is_done(done) and set_tables_aside(["two"]) == [paths.SET_ASIDE / "one"]
    assert before.is_dir() and not (paths.CELLS / "one").exists() and take_from_others([done]) == [done]


def test_cells_at_other_rates_are_their_tables(done: Cell) -> None:
    """Where `slt-bench rates` looks for them, also while it runs and DVC plans."""
    twin = done.model_copy(update={"table": paths.rates_table("one")})
    twin.directory.mkdir(parents=True)
    assert set_tables_aside(["one"]) == [] and twin.directory.is_dir()
    assert set_tables_aside(["two"]) == [paths.SET_ASIDE / "one", paths.SET_ASIDE / "one.rates"]


def test_a_report_replaces_no_results_that_are_set_aside(done: Cell) -> None:
    """However the other table is called."""
    for name in ("one", "one-report"):
        cell = done.model_copy(update={"table": name})
        if name != "one":
            shutil.copytree(done.directory, cell.directory)
    paths.table_dir("one").mkdir(parents=True)
    set_tables_aside([])
    assert (paths.SET_ASIDE / "one-report" / done.id / "search.json").is_file()


def test_a_table_on_another_disk_is_set_aside(done: Cell, tmp_path: Path) -> None:
    """Of a link the link alone is removed: the directory is somebody's."""
    disk, folder, report = tmp_path / "disk", paths.CELLS / "one", paths.table_dir("one")
    shutil.move(folder, disk)
    folder.symlink_to(disk)
    report.parent.mkdir(parents=True)
    report.symlink_to(disk)
    (paths.SET_ASIDE / "one.report").parent.mkdir(parents=True)
    (paths.SET_ASIDE / "one.report").symlink_to(disk)
    assert set_tables_aside([]) == [paths.SET_ASIDE / "one", paths.SET_ASIDE / "one.report"]
    assert (paths.SET_ASIDE / "one" / done.id / "search.json").is_file()
    assert disk.is_dir() and not folder.is_symlink() and not report.is_symlink()


def test_leftovers_are_named_and_stay(done: Cell) -> None:
    assert leftovers() == []
    Path("pipelines").mkdir()
    old = paths.CELLS / done.id
    old.mkdir()
    (old / "search.json").write_text("{}")
    write_checksums(old)
    generated, results = leftovers()
    assert "pipelines/ was generated by an older version" in generated and f"{done.id} among them" in results
    assert set_tables_aside(["one"]) == [] and old.is_dir()


def test_a_parent_whose_record_is_damaged_gives_no_ticket(done_parent: Cell) -> None:
    (done_parent.directory / "search.json").write_text("{}")
    assert not gives_ticket(done_parent)


@pytest.fixture
def done_parent(project: Path, make_cell: Callable[..., Cell]) -> Cell:
    pretend(cell := make_cell(), 60.0)
    assert gives_ticket(cell)
    return cell
