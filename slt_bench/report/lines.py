"""The lines of a table: the results of each setting over its seeds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from slt_bench import paths
from slt_bench.cell import Cell
from slt_bench.cells import expand_row, grouped
from slt_bench.history import Epoch, read_history
from slt_bench.params import Params
from slt_bench.published import Published, fitting


@dataclass(frozen=True)
class Result:
    """The files of one finished cell."""

    cell: Cell
    record: dict[str, Any]
    metrics: dict[str, Any]
    history: list[Epoch]


@dataclass(frozen=True)
class Line:
    """One line of a table: a setting and its results, one a seed (none where the cells have not run)."""

    label: str
    cell: Cell  # any of the setting's
    cells: list[Cell]  # one a seed
    results: list[Result]
    row: int  # of the table, from 0
    meant: Cell  # in a small table the cell of the large one that this stands for, else its own
    published: list[Published]  # of what is meant

    @property
    def reads(self) -> tuple[str, str, str]:
        """What a reader knows it by: method, source, sparsity."""
        return self.label, str(self.cell.source), f"{self.cell.sparsity:g}"

    @property
    def found(self) -> bool:
        """Whether its tickets were searched; weights that are trained or masks that are drawn were not."""
        return self.cell.search.kind not in ("weight-training", "random-mask")

    @property
    def validated(self) -> bool:
        """Whether a part of the training images chose the epoch; where none did, the last is reported."""
        return self.cell.recipe.train_on != "all"

    def values(self, name: str) -> list[float]:
        """A metric of every seed."""
        return [float(result.metrics[name]) for result in self.results]

    def known(self, name: str) -> list[float]:
        """A metric of the seeds that have it."""
        return [float(result.metrics[name]) for result in self.results if result.metrics.get(name) is not None]

    def recorded(self, name: str) -> list[float]:
        """A number from the search's record, of every seed."""
        return [float(result.record[name]) for result in self.results]


def read_result(cell: Cell) -> Result | None:
    """The result of a cell, or None where it has not run to its end with these parameters."""
    directory = paths.cell_dir(cell.id)
    try:
        record = json.loads((directory / "search.json").read_text())
        metrics = json.loads((directory / "metrics.json").read_text())
        if record["identity"] != cell.identity:
            return None  # of other parameters under the same name
        return Result(cell, record, metrics, read_history(directory / "history.csv"))
    except FileNotFoundError:
        return None


def lines(params: Params, table: str) -> list[Line]:
    """The lines of a table in the order of its rows; those that would read alike also get the names that differ."""
    found = [line for index in range(len(params.tables[table].rows)) for line in _row_lines(params, table, index)]
    return [_told_apart(line, [one for one in found if _place(one) == _place(line)]) for line in found]


def _place(line: Line) -> tuple[str, ...]:
    """What a reader sees of a line before its results: its columns, dataset and network among them."""
    return (*line.reads, line.cell.dataset_name, line.cell.network_name)


def _told_apart(line: Line, alike: list[Line]) -> Line:
    names = [getattr(line.cell, axis) for axis in ("search_name", "recipe_name")
             if len({getattr(one.cell, axis) for one in alike}) > 1]  # fmt: skip
    return replace(line, label=f"{line.label} [{', '.join(names)}]") if names else line


def _row_lines(params: Params, table: str, index: int) -> Iterator[Line]:
    row = params.tables[table].rows[index]
    small, full = (_settings(params, name, index) for name in (table, full_name(params, table)))
    for cells, meant in zip(small, full, strict=True):
        yield Line(
            label=row.label or cells[0].search.label,
            cell=cells[0],
            cells=cells,
            results=[result for cell in cells if (result := read_result(cell)) is not None],
            row=index,
            meant=meant[0],
            published=fitting(row.published, meant[0]),
        )


def _settings(params: Params, table: str, index: int) -> list[list[Cell]]:
    return list(grouped(expand_row(params, table, index), lambda cell: cell.setting).values())


def full_name(params: Params, table: str) -> str:
    """The table that a small one stands for; of another its own name."""
    return table if params.tables[table].reduced is None else table.removesuffix("-small")
