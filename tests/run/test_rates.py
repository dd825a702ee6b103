"""Learning rates are tried at a table's own budget, and compared by validation."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from slt_bench.common.errors import BenchError
from slt_bench.engine.head import Failure
from slt_bench.experiment.cell import Cell
from slt_bench.records.checksums import write_checksums
from slt_bench.run.many import Places
from slt_bench.run.tables import rates
from slt_bench.run.tables.rates import at_rate, compared, first_of_recipes, try_rates
from tests.experiment.test_params import GOOD
from tests.report.test_report import diverge, pretend
from tests.run.test_announce import declared


def found(cell: Cell, validation: float) -> None:
    """A result with an accuracy in validation."""
    pretend(cell, 1.0)
    path = cell.directory / "search.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"best_val_top1": validation}))
    write_checksums(cell.directory)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory of this test alone, where no images are."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(rates, "prepare_missing", lambda *_: None)


def test_a_recipe_is_tried_with_the_first_seed_at_all_sparsities_of_training_and_of_the_first_search() -> None:
    chosen = first_of_recipes(declared().tables["one"])
    assert [(cell.search_name, str(cell.source), cell.sparsity, cell.seed) for cell in chosen] == [
        ("training", "dense", 0.0, 0), ("ep", "dense", 0.3, 0), ("ep", "dense", 0.5, 0)
    ]  # fmt: skip


def test_each_network_is_tried_and_no_search_that_needs_the_ticket_of_another() -> None:
    text = GOOD.replace("networks:\n", "networks:\n  wide: {kind: conv4, width: 0.25}\n")
    text = text.replace("searches:\n", "  slow: {epochs: 4, batch_size: 64, learning_rate: 0.1}\nsearches:\n", 1)
    ticket = "ticket: {search: ep, sparsity: 0.5, recipe: quick}"
    child = f"source: {{layout: from_ticket, prune_ratio: 0.2, lock_ratio: 0.2, {ticket}}}"
    rows = [f"{{search: ep, recipe: slow, sparsity: 0.5, {child}}}", "{search: iep, network: wide, sparsity: 0.5}"]
    text = text.replace("- {search: training}", "\n      ".join(f"- {row}" for row in (*rows, "{search: training}")))
    chosen = first_of_recipes(declared(text).tables["one"])
    assert {cell.network_name for cell in chosen} == {"tiny", "wide"} and all(cell.source.parent is None for cell in chosen)


def test_a_twin_at_the_recipes_own_rate_is_the_same_cell() -> None:
    cell = declared().tables["one"].cells[0]
    same, other = at_rate(cell, cell.recipe.learning_rate), at_rate(cell, 7.0)
    assert (same.id, same.identity) == (cell.id, cell.identity) and same.directory != cell.directory
    assert other.identity != cell.identity and "-at-7_" in other.id and other.recipe.learning_rate == 7.0


def test_rates_that_are_nearly_equal_are_two() -> None:
    cell = declared().tables["one"].cells[0]
    twins = [at_rate(cell, rate) for rate in (0.3, 0.30000001)]
    for validation, twin in zip((50.0, 60.0), twins, strict=True):
        found(twin, validation)
    title, table, _ = compared([(cell.recipe_name, twin) for twin in twins])
    assert title.endswith("best on average: 0.30000001") and "50.00" in table and "60.00" in table


def test_the_best_rate_is_that_of_the_highest_mean_over_sparsities() -> None:
    cells = [cell for cell in declared().tables["one"].cells if cell.search.learns == "scores" and cell.source.id == "dense"]
    first, second = (cell for cell in cells[:4] if cell.seed == cells[0].seed)
    assert first.sparsity != second.sparsity
    twins = [at_rate(cell, rate) for cell in (first, second) for rate in (0.1, 0.5, 2.0, 9.0)]
    for twin, validation in zip(twins, (52.0, 60.0, 90.0, 99.0, 58.0, 45.0, None), strict=False):
        if validation is None:
            diverge(twin)
        else:
            found(twin, validation)
    title, table, _ = compared([(first.recipe_name, twin) for twin in twins])
    assert title.endswith("best on average of those that are whole: 0.1 (now)"), (
        "not a rate at which a search diverged, or has not run"
    )
    rows = [[part.strip() for part in line.strip("|").split("|")] for line in table.splitlines()]
    assert rows[0][1:] == ["0.1 (now)", "0.5", "2", "9"]
    assert rows[2][1:] == ["52.00", "60.00", "90.00", "99.00"] and rows[3][1:] == ["58.00", "45.00", "diverged", "—"]


def test_recipes_whose_names_look_like_twins_stay_apart() -> None:
    (cell,) = [cell for cell in first_of_recipes(declared().tables["one"]) if cell.sparsity == 0.3]
    recipes = [cell.model_copy(update={"recipe_name": f"sgd-at-{batch}"}) for batch in ("0.1", "128")]
    twins = [(recipe.recipe_name, at_rate(recipe, rate)) for recipe in recipes for rate in (0.1, 2.0)]
    for validation, (_, twin) in enumerate(twins):
        found(twin, float(validation))
    lines = compared(twins)
    assert [line.partition(",")[0] for line in lines if line.startswith("recipe")] == ["recipe sgd-at-0.1", "recipe sgd-at-128"]
    assert "0.1 (now)" in lines[1] and "1.00" in lines[1] and "3.00" not in lines[1]


def test_all_of_it(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def search(_: object, tables: Sequence[str], cells: Sequence[Cell], places: Places) -> list[object]:
        assert not tables, "nothing of the table is set aside"
        assert prepared == list(cells) and places.jobs is not None, "chosen, and prepared"
        failed, wild, *others = cells
        diverge(wild)
        for cell in others:
            found(cell, 60.0 + cell.recipe.learning_rate)
        return [Failure(failed, "a reason")]

    tracked, prepared = dict[str, int](), list[Cell]()
    monkeypatch.setattr(rates, "prepare_missing", lambda _, cells: prepared.extend(cells))
    monkeypatch.setattr(rates, "search_cells", search)
    monkeypatch.setattr(
        rates, "track_results", lambda name, results, **others: tracked.update({name: len(results), "others": len(others)})
    )
    with pytest.raises(BenchError, match=r"1 of 6 cells failed.*\n.*a reason"):
        try_rates(declared(), "one", [0.2, 0.4], Places())
    told = capsys.readouterr().out
    assert "cells are left" in told and "no rate is whole yet" in told and told.count("best on average: 0.4") == 1
    assert tracked["one.rates"] == 4 and not tracked["others"], "their runs in MLflow end, those of other rates stay"


def test_a_recipe_without_validation_is_refused() -> None:
    text = GOOD.replace("quick: {", "quick: {train_on: all, ", 1)
    assert text != GOOD
    with pytest.raises(BenchError, match="recipe quick trains on all images"):
        try_rates(declared(text), "one", [0.1], Places(jobs=1))


def test_a_table_that_learns_nothing_is_refused() -> None:
    searches, rows = GOOD.index("tables:"), GOOD.index("    rows:")
    text = f"{GOOD[:searches]}  random: {{kind: random-mask}}\n{GOOD[searches:rows]}"
    text += "    rows: [{search: random, sparsity: 0.5}]\n"
    with pytest.raises(BenchError, match="table one learns nothing, so that no rate is better than another"):
        try_rates(declared(text), "one", [0.1], Places(jobs=1))


def test_a_recipe_whose_rows_have_seeds_of_their_own_is_tried_with_the_first_of_these() -> None:
    text = GOOD.replace("{search: training}", "{search: training, seeds: [5, 6]}")
    assert {cell.seed for cell in first_of_recipes(declared(text).tables["one"]) if cell.search_name == "training"} == {5}
