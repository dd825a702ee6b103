"""The history of a search: one line an epoch, in a CSV file."""

from __future__ import annotations

import csv
from dataclasses import asdict, dataclass, fields
from io import StringIO
from pathlib import Path
from typing import Any

from slt_bench.checkpoint import write_text


@dataclass(frozen=True)
class Epoch:
    """One line; everything in it is the same in every run of the cell on one machine, so no times."""

    epoch: int  # from 1
    sparsity: float  # of the phase
    learning_rate: float  # of the first step
    train_loss: float
    train_top1: float  # percent
    val_loss: float
    val_top1: float  # percent
    kept: int  # non-zero edges at the end of the epoch
    dying_edge_ratio: float  # so far


_NAMES = [field.name for field in fields(Epoch)]


def write_history(path: Path, history: list[Epoch]) -> None:
    """Write the file whole."""
    out = StringIO()
    writer = csv.DictWriter(out, _NAMES, lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(epoch) for epoch in history)
    write_text(path, out.getvalue())


def read_history(path: Path) -> list[Epoch]:
    """Read it back, value for value."""
    kinds: dict[str, Any] = {field.name: int if field.type == "int" else float for field in fields(Epoch)}
    with path.open(newline="") as file:
        return [Epoch(**{name: kinds[name](row[name]) for name in _NAMES}) for row in csv.DictReader(file)]
