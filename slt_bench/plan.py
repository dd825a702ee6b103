"""What a table needs: which cells are done, stale or missing, and how long the rest takes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

from slt_bench import paths
from slt_bench.cell import Cell
from slt_bench.record import cell_code, parent_digest
from slt_bench.schedules import make_schedule


@dataclass(frozen=True)
class Planned:
    """A cell, where it stands, and the seconds that it took or is expected to take (None where nothing alike has run)."""

    cell: Cell
    status: Literal["done", "stale", "missing"]
    seconds: float | None


def plan(cells: list[Cell]) -> list[Planned]:
    """Look at the result files; estimates come from cells of the same dataset and network, per epoch."""
    records = {cell.id: _record(cell) for cell in cells}
    code = cell_code()
    rates: dict[tuple[str, str], list[float]] = {}
    for cell in cells:
        if (record := records[cell.id]) is not None:
            rates.setdefault(_kind(cell), []).extend(record["epoch_seconds"])
    planned = []
    for cell in cells:
        record = records[cell.id]
        if record is None:
            status: Literal["done", "stale", "missing"] = "missing"
        else:
            status = "done" if _is_of(record, cell, code) else "stale"
        if record is not None and status == "done":
            seconds: float | None = sum(record["epoch_seconds"])
        else:
            alike = rates.get(_kind(cell))
            seconds = epochs(cell) * sum(alike) / len(alike) if alike else None
        planned.append(Planned(cell, status, seconds))
    return planned


def epochs(cell: Cell) -> int:
    """Epochs that the cell's search runs in all."""
    return make_schedule(cell.search, cell.recipe, cell.source.prune_ratio, cell.sparsity).epochs


def duration(seconds: float) -> str:
    """For a reader: 45 s, 12 min, 3.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _kind(cell: Cell) -> tuple[str, str]:
    return cell.dataset_name, cell.network_name


def is_done(cell: Cell) -> bool:
    """Whether a cell has been run to its end with this code, on these images and, where it has one, its parent's ticket."""
    return (paths.cell_dir(cell.id) / "metrics.json").is_file() and is_found(cell)


def is_found(cell: Cell) -> bool:
    """The same of its search alone."""
    from slt_bench.data.manifest import read_manifest

    record, directory = _found(cell), paths.cell_dir(cell.id)
    tickets = all((directory / f"{name}.safetensors").is_file() for name in ("ticket", "last"))
    if (
        record is None
        or not tickets
        or not _is_of(record, cell, cell_code())
        or record["parent"] != parent_digest(cell.source.ticket)
    ):
        return False
    return bool(record["data"]["digest"] == read_manifest(paths.dataset_dir(cell.dataset_name)).digest)


def _is_of(record: dict[str, Any], cell: Cell, code: str) -> bool:
    return (record["identity"], record["code"]) == (cell.identity, code)


def _record(cell: Cell) -> dict[str, Any] | None:
    """Of a cell that is evaluated too."""
    return _found(cell) if (paths.cell_dir(cell.id) / "metrics.json").is_file() else None


def _found(cell: Cell) -> dict[str, Any] | None:
    """The record of a search that has come to its end: it is written last."""
    try:
        record: dict[str, Any] = json.loads((paths.cell_dir(cell.id) / "search.json").read_text())
        return record
    except (FileNotFoundError, json.JSONDecodeError):
        return None
