"""The lines of a table: the results of each setting over its seeds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from statistics import mean

from slt_bench.common.text import grouped
from slt_bench.experiment.cell import Cell
from slt_bench.experiment.experiments import Experiment
from slt_bench.experiment.published import Published, fitting
from slt_bench.records.result import Absent, Result

Outcomes = Mapping[str, Result | Absent]  # of the cells of a table, by their ids


@dataclass(frozen=True)
class Line:
    """A line of a table: a setting with one result a seed, and none where its cells have not run."""

    label: str
    cell: Cell  # any cell of the setting
    cells: list[Cell]  # one a seed
    results: list[Result]
    absent: list[Absent]  # of the other cells
    row: int  # number of the table's row, from 0
    full_size: Cell  # in a small table the cell of the full-size table that the line stands for, elsewhere `cell`
    published: list[Published]  # values of the full-size cell

    @property
    def columns(self) -> tuple[str, str, str]:
        """Method, source and sparsity: the columns that name a line for a reader."""
        return self.label, str(self.cell.source), f"{self.cell.sparsity:g}"

    @property
    def is_searched(self) -> bool:
        """Whether the line's tickets were searched, and are neither trained weights nor random masks."""
        return self.cell.search.is_searched

    @property
    def is_validated(self) -> bool:
        """Whether a part of the training images chose the epoch; without it the last epoch is reported."""
        return self.cell.recipe.train_on != "all"

    @property
    def count(self) -> str:
        """Number of the line's results, and of its cells where some have none."""
        return f"{len(self.results)} of {len(self.cells)}" if self.absent else str(len(self.results))

    @property
    def remarks(self) -> str:
        """How many of the line's cells have no result, or one of other code, and why, in few words; empty where none."""
        kinds = [outcome.in_short for outcome in self.absent] + [
            f"shown {result.stale}" for result in self.results if result.stale
        ]
        return ", ".join(f"{count} {kind}" for kind, count in Counter(kinds).items())

    @property
    def requested(self) -> dict[str, int]:
        """The counts of edges that the parameters request: total, pruned, locked and kept; for a line with results."""
        return dict(self.results[0].record["asked"])

    @property
    def is_of_one_machine(self) -> bool:
        """Whether there are results, and machines of one kind made them: times of others have no mean."""
        return len({result.machine for result in self.results}) == 1

    @property
    def epoch_seconds(self) -> float | None:
        """The mean time of an epoch; None where there is none."""
        return mean(result.epoch_seconds for result in self.results) if self.is_of_one_machine else None

    def values(self, name: str) -> list[float]:
        """Collect a metric that every result has."""
        return [float(result.metrics[name]) for result in self.results]

    def optional(self, name: str) -> list[float]:
        """Collect a metric from the results that have it."""
        return [float(result.metrics[name]) for result in self.results if result.metrics.get(name) is not None]

    def from_record(self, name: str) -> list[float]:
        """Collect a number that the search of every result recorded."""
        return [float(result.record[name]) for result in self.results]


def table_lines(experiment: Experiment, outcomes: Outcomes) -> list[Line]:
    """Collect the lines of a table in the order of its rows; lines that would read alike get the names that differ."""
    lines = [line for index in range(len(experiment.rows)) for line in _row_lines(experiment, index, outcomes)]
    return [_told_apart(line, [other for other in lines if _appearance(other) == _appearance(line)]) for line in lines]


def shown_cells(lines: Iterable[Line]) -> list[Cell]:
    """List the cells that lines show, each once: two rows may have a setting in common."""
    return list({cell.id: cell for line in lines for cell in line.cells}.values())


def shown_results(lines: Iterable[Line]) -> list[Result]:
    """List the results that lines show, each once."""
    return list({result.cell.id: result for line in lines for result in line.results}.values())


def _appearance(line: Line) -> tuple[str, ...]:
    """All that a reader sees of a line before its results: the naming columns and the network."""
    return (*line.columns, line.cell.network_name)


def _told_apart(line: Line, alike: list[Line]) -> Line:
    names = [getattr(line.cell, axis) for axis in ("search_name", "recipe_name")
             if len({getattr(other.cell, axis) for other in alike}) > 1]  # fmt: skip
    return replace(line, label=f"{line.label} [{', '.join(names)}]") if names else line


def _row_lines(experiment: Experiment, index: int, outcomes: Outcomes) -> Iterator[Line]:
    row = experiment.table.rows[index]
    settings, full_size = (_settings(table.rows[index]) for table in (experiment, experiment.full_size or experiment))
    for cells, full_cells in zip(settings, full_size, strict=True):
        of_cells = [outcomes[cell.id] for cell in cells]
        yield Line(
            label=row.label or cells[0].search.label,
            cell=cells[0],
            cells=cells,
            results=[outcome for outcome in of_cells if isinstance(outcome, Result)],
            absent=[outcome for outcome in of_cells if isinstance(outcome, Absent)],
            row=index,
            full_size=full_cells[0],
            published=fitting(row.published, full_cells[0]),
        )


def _settings(cells: list[Cell]) -> list[list[Cell]]:
    return list(grouped(cells, lambda cell: cell.setting).values())
