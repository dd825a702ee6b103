"""The history of a search: a CSV file with one line for each epoch."""

from __future__ import annotations

import csv
from dataclasses import asdict, dataclass, fields
from io import StringIO
from pathlib import Path
from typing import Any

from slt_bench.common.files import write_text

QUANTILES = (5, 25, 50, 75, 95)  # of the scores, in percent


@dataclass(frozen=True)
class Epoch:
    """One epoch of a search. It has no times, so that every run of a cell on one machine writes equal lines."""

    epoch: int  # from 1
    sparsity: float  # of the phase that the epoch is in
    learning_rate: float  # of the first step of the epoch
    train_loss: float
    train_top1: float  # percent
    val_loss: float | None  # None where all images are trained on
    val_top1: float | None  # percent
    kept: int  # non-zero edges at the end of the epoch
    dying_edge_ratio: float  # share of the free edges that were in no mask so far
    mask_churn: float  # share of free edges on another side of the mask than an epoch ago; at first, than in the first mask
    score_quantiles: list[float]  # of |score|, at QUANTILES; of |weight| where weights are trained
    layer_density: list[float]  # kept share of each layer


_NAMES = [field.name for field in fields(Epoch)]


def write_history(path: Path, history: list[Epoch]) -> None:
    """Write the history of a search; the numbers of a list share one field, separated by spaces."""
    out = StringIO()
    writer = csv.DictWriter(out, _NAMES, lineterminator="\n")
    writer.writeheader()
    for epoch in history:
        row = asdict(epoch)
        writer.writerow({name: " ".join(map(str, row[name])) if isinstance(row[name], list) else row[name] for name in _NAMES})
    write_text(path, out.getvalue())


def read_history(path: Path) -> list[Epoch]:
    """Read the history of a search; every value is equal to the one that was written."""
    kinds: dict[str, Any] = {
        "int": int,
        "float": float,
        "float | None": lambda text: float(text) if text else None,
        "list[float]": lambda text: [float(number) for number in text.split()],
    }
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [Epoch(**{field.name: kinds[str(field.type)](row[field.name]) for field in fields(Epoch)}) for row in rows]
