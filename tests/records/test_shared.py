"""Results that tables share, that no table declares, and that were damaged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from slt_bench.common import paths
from slt_bench.experiment.cell import Cell
from slt_bench.records.checksums import OF_A_SEARCH, damaged_files, write_checksums
from slt_bench.records.leftovers import leftovers
from slt_bench.records.shared import set_aside, set_tables_aside, take_from_others
from slt_bench.records.standing import cell_standing, gives_ticket, is_done, search_standing
from slt_bench.run.evaluate import evaluate
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


def test_tables_that_are_gone_leave_the_outputs(done: Cell) -> None:
    (paths.table_dir("gone")).mkdir(parents=True)
    assert set_tables_aside(["one"]) == [paths.SET_ASIDE / "gone-report"]
    before = paths.SET_ASIDE / "one" / "earlier"  # a cell of it that was set aside before stays
    before.mkdir(parents=True)
    assert is_done(done) and set_tables_aside(["two"]) == [paths.SET_ASIDE / "one"]
    assert before.is_dir() and not (paths.CELLS / "one").exists() and take_from_others([done]) == [done]


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
def done_parent(project: Path, make_cell: Callable[..., Cell]):
    pretend(cell := make_cell(), 60.0)
    assert gives_ticket(cell)
    return cell
