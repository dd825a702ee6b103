"""Results of cells that may be compared with each other, read from their files."""

from __future__ import annotations

import json
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal

from slt_bench.experiment.cell import Cell
from slt_bench.records.history import Epoch, read_history
from slt_bench.records.standing import cell_standing, prepared_images


@dataclass(frozen=True)
class Result:
    """The result of a finished cell: the contents of its files."""

    cell: Cell
    record: dict[str, Any]
    metrics: dict[str, Any]
    history: list[Epoch]
    stale: str = ""  # how its code differs from today's, although it may be compared; empty if it does not

    @property
    def epoch_seconds(self) -> float:
        """The median time of an epoch, with its validation."""
        return float(median(self.record["epoch_seconds"]))

    @property
    def machine(self) -> str:
        """The kind of machine that it was made on, as far as the time of an epoch depends on it."""
        environment = self.record["environment"]
        return f"{environment['gpu'] or environment['cpu']}, {environment['cores']} cores, {environment.get('threads')} threads"


@dataclass(frozen=True)
class Absent:
    """A cell without a number in its table, and the reason."""

    cell: Cell
    kind: Literal["missing", "diverged", "left out"]  # left out: of other parameters or images, or damaged
    reason: str = ""

    def __str__(self) -> str:
        return {"missing": "has not run yet", "diverged": f"diverged: {self.reason}"}.get(self.kind, f"is {self.reason}")

    @property
    def in_short(self) -> str:
        """The reason in few words."""
        return {"missing": "not run", "diverged": "diverged"}.get(self.kind, f"left out, {self.reason.partition(':')[0]}")


def read_outcome(cell: Cell, images: str | None) -> Result | Absent:
    """Read the result of a cell, or the reason why it has none that may be compared.

    Args:
        cell: the cell.
        images: digest of the images that the result must be of; None accepts all.
    """
    standing, directory = cell_standing(cell, images), cell.directory
    record = standing.record
    if not standing.is_comparable or record is None:
        kind = standing.kind
        return Absent(cell, "left out" if kind == "done" or kind == "stale" else kind, standing.reason)
    if "diverged" in record:
        return Absent(cell, "diverged", f"{record['diverged']} (with other code than today's)")
    try:
        metrics = json.loads((directory / "metrics.json").read_text(encoding="utf-8"))
        history = read_history(directory / "history.csv")
    except (OSError, ValueError, KeyError, TypeError):
        metrics, history = {}, []
    if _is_whole(record, metrics, history):
        return Result(cell, record, metrics, history, "of other code" if standing.is_of_other_code else "")
    return Absent(cell, "left out", "damaged: search.json, metrics.json or history.csv is not whole")


def read_outcomes(cells: list[Cell]) -> dict[str, Result | Absent]:
    """Read the outcomes of cells by their ids: results that may be compared with each other, or the reasons why not."""
    images = common_images(cells)
    return {cell.id: read_outcome(cell, images[cell.dataset_name]) for cell in cells}


def common_images(cells: list[Cell]) -> dict[str, str | None]:
    """Choose for each dataset the images that results must be of to be compared: those prepared, else those of the latest.

    Args:
        cells: the cells whose results are compared.

    Returns:
        Dataset -> digest of its images; None where no images are prepared and nothing has run.
    """
    prepared = prepared_images(cells)
    latest: dict[str, tuple[str, str]] = {}
    for cell in cells:
        record = cell_standing(cell, None).record if prepared[cell.dataset_name] is None else None
        digest = record.get("data", {}).get("digest") if record and record.get("identity") == cell.identity else None
        if record and digest:
            finished_and_digest = (str(record.get("finished", "")), str(digest))
            latest[cell.dataset_name] = max(latest.get(cell.dataset_name, finished_and_digest), finished_and_digest)
    return {name: digest or latest.get(name, ("", None))[1] for name, digest in prepared.items()}


def _is_whole(record: dict[str, Any], metrics: Any, history: list[Epoch]) -> bool:
    """Whether files hold all that is read of them, and times and history are of the same epochs, one at least."""
    parts = _has(record, _RECORD) and all(_has(record[name], keys) for name, keys in _PARTS.items())
    return parts and _has(metrics, _METRICS) and len(history) == len(record["epoch_seconds"]) > 0


def _has(content: Any, keys: set[str]) -> bool:
    return isinstance(content, dict) and content.keys() >= keys


# The least keys of a whole result; a file that somebody edited may lack some.
_RECORD = {"asked", "realised", "data", "environment", "precision", "dying_edge_ratio", "epoch_seconds", "started", "finished",
           "commit", "code", "best_epoch", "best_val_top1"}  # fmt: skip
_PARTS = {"environment": {"cpu", "gpu", "cores", "libraries"}, "data": {"origin", "digest", "images"}}
_METRICS = {"top1", "top5", "loss", "images", "last_top1", "bytes", "total", "pruned", "locked", "kept"}
