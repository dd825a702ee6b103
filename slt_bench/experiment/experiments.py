"""All experiments of params.yaml, expanded once: every look-up of a table or a cell is answered from here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from slt_bench.common.errors import BenchError
from slt_bench.common.text import did_you_mean
from slt_bench.experiment.cell import Cell
from slt_bench.params.tables import Params, Table


@dataclass(frozen=True)
class Experiment:
    """A table with its cells."""

    name: str
    table: Table
    rows: list[list[Cell]]  # of each row of the table its cells, each once, seeds last
    cells: list[Cell]  # all that the table needs, each once; one whose ticket another needs comes before it
    full_size: Experiment | None = None  # of a table at a small budget: the one that it is like
    replaced: str = ""  # and what stands in place of what


@dataclass(frozen=True)
class Experiments:
    """What params.yaml declares."""

    params: Params
    tables: dict[str, Experiment]

    def table(self, name: str) -> Experiment:
        """Look up a table.

        Raises:
            BenchError: there is none of that name.
        """
        if name not in self.tables:
            known = ", ".join(self.tables)
            raise BenchError(f"there is no table '{name}'{did_you_mean(name, self.tables)} (there are: {known})")
        return self.tables[name]

    def cells(self, tables: Iterable[str] | None = None) -> dict[str, Cell]:
        """Collect the cells of some tables, or of all, by id; one that several tables have is there once, of the first."""
        found: dict[str, Cell] = {}
        for name in self.tables if tables is None else tables:
            for cell in self.tables[name].cells:
                found.setdefault(cell.id, cell)
        return found

    def cell(self, cell_id: str) -> Cell:
        """Look up a cell, of the first table that has it.

        Raises:
            BenchError: there is none of that id.
        """
        cells = self.cells()
        if cell_id not in cells:
            hint = did_you_mean(cell_id, [*cells, *self.tables])
            raise BenchError(f"there is no cell '{cell_id}'{hint}; `slt-bench plan` lists them")
        return cells[cell_id]
