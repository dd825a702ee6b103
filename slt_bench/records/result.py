"""The results of cells that may stand beside each other, read from their files."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

from slt_bench.experiment.cell import Cell
from slt_bench.records.history import Epoch, read_history
from slt_bench.records.standing import prepared_images, standing


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


def read_outcome(cell: Cell, images: str | None) -> Result | Absent:
    """The result of a cell, or why there is none that may stand beside others.

    Args:
        cell: whose it is.
        images: digest of the images that all of its dataset must have been made on; None compares none.
    """
    stands, directory = standing(cell, images), cell.directory
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


# What a whole result has at least; a file that somebody edited may lack it.
_RECORD = {"asked", "realised", "data", "environment", "precision", "dying_edge_ratio", "epoch_seconds", "started", "finished",
           "commit", "code", "best_epoch", "best_val_top1"}  # fmt: skip


_METRICS = {"top1", "top5", "loss", "last_top1", "bytes", "total", "pruned", "locked", "kept"}
