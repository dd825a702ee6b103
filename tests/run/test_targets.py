"""The cells of a run: those that an open claim asked for, of more seeds than a table has, belong to its table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from slt_bench.experiment.cell import Cell
from slt_bench.experiment.experiments import Experiments
from slt_bench.experiment.load import load_experiments
from slt_bench.run.many import Places
from slt_bench.run.tables import targets
from slt_bench.run.tables.targets import run_targets, search_cells, search_table
from tests.report.test_claims import TEXT
from tests.report.test_report import pretend
from tests.run.test_decide import CLAIMS


@pytest.fixture
def experiments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Experiments:
    """A table with one cell of a further seed that was run."""
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(TEXT + CLAIMS)
    experiments = load_experiments()
    pretend(further(experiments), 60.0)
    return experiments


@pytest.fixture
def searched(monkeypatch: pytest.MonkeyPatch) -> list[Cell]:
    """The cells that are searched, in place of searching them."""
    cells: list[Cell] = []

    def search(_: object, tables: Sequence[str], some: Sequence[Cell], places: Places) -> list[Any]:
        cells.extend(some)
        return []

    monkeypatch.setattr(targets, "search_cells", search)
    for name in ("announce", "prepare_missing", "show_table"):
        monkeypatch.setattr(targets, name, lambda *_: None)
    monkeypatch.setattr(targets, "_dvc_follows", lambda *_: False)
    return cells


def further(experiments: Experiments) -> Cell:
    return experiments.tables["one"].spare_cells[0]


def test_a_run_of_the_table_takes_them_along(experiments: Experiments, searched: list[Cell]) -> None:
    table = experiments.tables["one"]
    run_targets(experiments, ["one"], Places())
    assert searched == [*table.cells, further(experiments)]
    searched.clear()
    search_table(experiments, "one")
    assert searched == [*table.cells, further(experiments)], "and so does DVC's stage"


def test_a_run_of_the_table_does_not_set_them_aside(experiments: Experiments) -> None:
    assert search_cells(experiments, ["one"], [], Places()) == [] and further(experiments).directory.is_dir()
