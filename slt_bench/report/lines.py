"""The lines of a table: the results of each setting over its seeds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

from slt_bench import paths
from slt_bench.cell import Cell
from slt_bench.cells import expand, expand_row, grouped
from slt_bench.history import Epoch, read_history
from slt_bench.params import Params
from slt_bench.published import Published, fitting
from slt_bench.status import prepared_images, standing

# What a whole result has at least; a file that somebody edited may lack it.
_RECORD = {"asked", "realised", "data", "environment", "precision", "dying_edge_ratio", "epoch_seconds", "started", "finished",
           "commit", "code", "best_epoch", "best_val_top1"}  # fmt: skip
_METRICS = {"top1", "top5", "loss", "last_top1", "bytes", "total", "pruned", "locked", "kept"}


@dataclass(frozen=True)
class Result:
    """The files of one finished cell."""

    cell: Cell
    record: dict[str, Any]
    metrics: dict[str, Any]
    history: list[Epoch]
    stale: str = ""  # what it was made with that is not today's, although its numbers may stand beside others


@dataclass(frozen=True)
class Absent:
    """A cell that has no number in a table, and why."""

    cell: Cell
    kind: Literal["missing", "diverged", "stale"]
    reason: str = ""

    def __str__(self) -> str:
        return {"missing": "has not run yet", "diverged": f"diverged: {self.reason}"}.get(self.kind, f"is {self.reason}")


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


def read_outcome(cell: Cell, images: str | None) -> Result | Absent:
    """The result of a cell, or why there is none that may stand beside others.

    Args:
        cell: whose it is.
        images: digest of the images that all of its dataset must have been made on; None compares none.
    """
    stands, directory = standing(cell, images), paths.cell_dir(cell.id)
    if not stands.is_comparable or stands.record is None:
        return Absent(cell, "stale" if stands.kind == "done" else stands.kind, stands.reason)
    if "diverged" in stands.record:
        return Absent(cell, "diverged", f"{stands.record['diverged']} (with other code than today's)")
    try:
        metrics = json.loads((directory / "metrics.json").read_text(encoding="utf-8"))
        history = read_history(directory / "history.csv")
    except (OSError, ValueError, KeyError, TypeError):
        metrics, history = {}, []
    if stands.record.keys() >= _RECORD and isinstance(metrics, dict) and metrics.keys() >= _METRICS and history:
        return Result(cell, stands.record, metrics, history, stands.reason)
    return Absent(cell, "stale", "damaged: search.json, metrics.json or history.csv is not whole")


def read_results(cells: list[Cell]) -> list[Result]:
    """The results of these cells that may stand beside each other."""
    images = common_images(cells)
    outcomes = (read_outcome(cell, images[cell.dataset_name]) for cell in cells)
    return [outcome for outcome in outcomes if isinstance(outcome, Result)]


def common_images(cells: list[Cell]) -> dict[str, str | None]:
    """Dataset -> digest of the images that its results must be of: those that are prepared, else those of the latest result."""
    found = prepared_images(cells)
    latest: dict[str, tuple[str, str]] = {}
    for cell in cells:
        record = standing(cell, None).record if found[cell.dataset_name] is None else None
        if record is not None:
            made = (str(record.get("finished", "")), str(record["data"]["digest"]))
            latest[cell.dataset_name] = max(latest.get(cell.dataset_name, made), made)
    return {name: digest or latest.get(name, ("", None))[1] for name, digest in found.items()}


def lines(params: Params, table: str) -> list[Line]:
    """The lines of a table in the order of its rows; those that would read alike also get the names that differ."""
    images = common_images(expand(params, table))
    found = [line for index in range(len(params.tables[table].rows)) for line in _row_lines(params, table, index, images)]
    return [_told_apart(line, [one for one in found if _place(one) == _place(line)]) for line in found]


def _place(line: Line) -> tuple[str, ...]:
    """What a reader sees of a line before its results: its columns, dataset and network among them."""
    return (*line.reads, line.cell.dataset_name, line.cell.network_name)


def _told_apart(line: Line, alike: list[Line]) -> Line:
    names = [getattr(line.cell, axis) for axis in ("search_name", "recipe_name")
             if len({getattr(one.cell, axis) for one in alike}) > 1]  # fmt: skip
    return replace(line, label=f"{line.label} [{', '.join(names)}]") if names else line


def _row_lines(params: Params, table: str, index: int, images: dict[str, str | None]) -> Iterator[Line]:
    row = params.tables[table].rows[index]
    small, full = (_settings(params, name, index) for name in (table, full_name(params, table)))
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


def _settings(params: Params, table: str, index: int) -> list[list[Cell]]:
    return list(grouped(expand_row(params, table, index), lambda cell: cell.setting).values())


def full_name(params: Params, table: str) -> str:
    """The table that a small one stands for; of another its own name."""
    return table if params.tables[table].reduced is None else table.removesuffix("-small")
