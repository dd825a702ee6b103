"""The lines of a table: the results of each setting over its seeds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from slt_bench.common.text import grouped
from slt_bench.experiment.cell import Cell
from slt_bench.experiment.experiments import Experiment
from slt_bench.experiment.published import Published, fitting
from slt_bench.records.result import Absent, Result, common_images, read_outcome


@dataclass(frozen=True)
class Line:
    """One line of a table: a setting and its results, one a seed (none where the cells have not run)."""

    label: str
    cell: Cell  # any of the setting's
    cells: list[Cell]  # one a seed
    results: list[Result]
    absent: list[Absent]  # the others, and why
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

    @property
    def count(self) -> str:
        """How many results it has, and of how many cells, where that is another number."""
        return f"{len(self.results)} of {len(self.cells)}" if self.absent else str(len(self.results))

    def values(self, name: str) -> list[float]:
        """A metric of every seed."""
        return [float(result.metrics[name]) for result in self.results]

    def known(self, name: str) -> list[float]:
        """A metric of the seeds that have it."""
        return [float(result.metrics[name]) for result in self.results if result.metrics.get(name) is not None]

    def recorded(self, name: str) -> list[float]:
        """A number from the search's record, of every seed."""
        return [float(result.record[name]) for result in self.results]


def lines(experiment: Experiment) -> list[Line]:
    """The lines of a table in the order of its rows; those that would read alike also get the names that differ."""
    images = common_images(experiment.cells)
    found = [line for index in range(len(experiment.rows)) for line in _row_lines(experiment, index, images)]
    return [_told_apart(line, [one for one in found if _place(one) == _place(line)]) for line in found]


def _place(line: Line) -> tuple[str, ...]:
    """What a reader sees of a line before its results: its columns, dataset and network among them."""
    return (*line.reads, line.cell.dataset_name, line.cell.network_name)


def _told_apart(line: Line, alike: list[Line]) -> Line:
    names = [getattr(line.cell, axis) for axis in ("search_name", "recipe_name")
             if len({getattr(one.cell, axis) for one in alike}) > 1]  # fmt: skip
    return replace(line, label=f"{line.label} [{', '.join(names)}]") if names else line


def _row_lines(experiment: Experiment, index: int, images: dict[str, str | None]) -> Iterator[Line]:
    row = experiment.table.rows[index]
    small, full = (_settings(each.rows[index]) for each in (experiment, experiment.full_size or experiment))
    for cells, meant in zip(small, full, strict=True):
        outcomes = [read_outcome(cell, images[cell.dataset_name]) for cell in cells]
        yield Line(
            label=row.label or cells[0].search.label,
            cell=cells[0],
            cells=cells,
            results=[each for each in outcomes if isinstance(each, Result)],
            absent=[each for each in outcomes if isinstance(each, Absent)],
            row=index,
            meant=meant[0],
            published=fitting(row.published, meant[0]),
        )


def _settings(cells: list[Cell]) -> list[list[Cell]]:
    return list(grouped(cells, lambda cell: cell.setting).values())
