"""All experiments of params.yaml, expanded once: tables and cells are looked up here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from slt_bench.common.errors import BenchError
from slt_bench.common.text import did_you_mean
from slt_bench.experiment.cell import Cell
from slt_bench.params.datasets import Images
from slt_bench.params.tables import Params, Table

T = TypeVar("T")


@dataclass(frozen=True)
class Experiment:
    """A table with its cells."""

    name: str
    table: Table
    rows: list[list[Cell]]  # the cells of each row of the table, each once, seeds last
    cells: list[Cell]  # all that the table needs, each once; a parent comes before its children
    full_size: Experiment | None = None  # for a small table: the table that it repeats
    replaced: str = ""  # for a small table: the names that it replaces, as `new for old`
    spare: list[list[Cell]] = field(default_factory=list)  # of each row: those of more seeds, which open claims may ask for

    @property
    def spare_cells(self) -> list[Cell]:
        """The cells of more seeds than the table has, each once."""
        return list({cell.id: cell for row in self.spare for cell in row}.values())

    @property
    def all_cells(self) -> list[Cell]:
        """The table's cells, and those of more seeds, each once."""
        return list({cell.id: cell for cell in self.cells + self.spare_cells}.values())

    def with_more(self, cells: Iterable[Cell]) -> Experiment:
        """Add some of the spare cells to the table's.

        Args:
            cells: which; those of other tables are left out.
        """
        wanted = {cell.id for cell in cells}
        rows = [row + [cell for cell in more if cell.id in wanted] for row, more in zip(self.rows, self.spare, strict=True)]
        return replace(self, rows=rows, cells=self.cells + [cell for cell in self.spare_cells if cell.id in wanted])


@dataclass(frozen=True)
class Experiments:
    """All that params.yaml declares."""

    params: Params
    tables: dict[str, Experiment]

    def table(self, name: str) -> Experiment:
        """Look up a table by its name.

        Raises:
            BenchError: there is no table of that name.
        """
        return _named("table", name, self.tables)

    def images(self, dataset: str) -> Images:
        """Look up what the images of a dataset are, by its name.

        Raises:
            BenchError: there is no dataset of that name.
        """
        return _named("dataset", dataset, self.params.datasets).images

    def cells(self, tables: Iterable[str] | None = None) -> dict[str, Cell]:
        """Collect the cells of some tables, or of all if None, by id; a cell of several tables belongs to the first of them."""
        cells: dict[str, Cell] = {}
        for name in self.tables if tables is None else tables:
            for cell in self.tables[name].cells:
                cells.setdefault(cell.id, cell)
        return cells

    def cell(self, cell_id: str) -> Cell:
        """Look up a cell by its id, those of more seeds included; a cell of several tables belongs to the first of them.

        Raises:
            BenchError: there is no cell of that id.
        """
        cells = self.cells()
        spare = (cell for table in self.tables.values() for cell in table.spare_cells if cell.id == cell_id)
        cell = cells.get(cell_id) or next(spare, None)
        if cell is None:
            if cell_id in self.tables:
                raise BenchError(f"'{cell_id}' is a table; `slt-bench plan {cell_id}` lists its cells")
            hint = did_you_mean(cell_id, [*cells, *self.tables])
            raise BenchError(f"there is no table or cell '{cell_id}'{hint}; `slt-bench plan` lists tables, with one its cells")
        return cell


def _named(kind: str, name: str, among: Mapping[str, T]) -> T:
    """Look up what a user has named; an error says what there is."""
    if name not in among:
        raise BenchError(f"there is no {kind} '{name}'{did_you_mean(name, among)} (there are: {', '.join(among)})")
    return among[name]
