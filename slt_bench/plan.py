"""What a table needs: which cells are done, stale or missing, and how long the rest takes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

from slt_bench import paths
from slt_bench.cell import Cell
from slt_bench.errors import BenchError
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
    images = {name: _images(name) for name in {cell.dataset_name for cell in cells}}
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
            status = "done" if _is_current(cell, record, images[cell.dataset_name]) else "stale"
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
    """The same of its search alone.

    Raises:
        BenchError: its dataset is not prepared.
    """
    from slt_bench.data.manifest import read_manifest

    record = _found(cell)
    return record is not None and _is_current(cell, record, read_manifest(paths.dataset_dir(cell.dataset_name)).digest)


def _is_current(cell: Cell, record: dict[str, Any], images: str | None) -> bool:
    """`images` is the digest of the dataset; None, where it is not prepared, is not compared."""
    tickets = all((paths.cell_dir(cell.id) / f"{name}.safetensors").is_file() for name in ("ticket", "last"))
    made = (record["identity"], record["code"], record.get("parent"), images and record["data"]["digest"])
    return tickets and made == (cell.identity, cell_code(), parent_digest(cell.source.ticket), images)


def _images(dataset: str) -> str | None:
    from slt_bench.data.manifest import read_manifest

    try:
        return read_manifest(paths.dataset_dir(dataset)).digest
    except BenchError:
        return None


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
