"""Pictures that MLflow shows with a mean."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from slt_bench.common.errors import BenchError
from slt_bench.experiment.cell import Cell
from slt_bench.records.result import Result

if TYPE_CHECKING:
    from mlflow import MlflowClient


def log_confusion(client: MlflowClient, run_id: str, results: list[Result]) -> None:
    """Log the confusion matrix of a setting, summed over its seeds.

    Args:
        client: of the store.
        run_id: of the mean.
        results: of the seeds, all of one dataset.

    Raises:
        BenchError: the matrix of a seed cannot be read.
    """
    from slt_bench.report.figures.draw import confusion_figure

    confusions = [_confusion(result.cell) for result in results]
    rows = zip(*(matrix for _, matrix in confusions), strict=True)
    total = [[sum(counts) for counts in zip(*row, strict=True)] for row in rows]
    with TemporaryDirectory() as temporary:
        path = Path(temporary) / "confusion.png"
        confusion_figure(total, confusions[0][0], path)
        client.log_artifact(run_id, str(path), "figures")


def _confusion(cell: Cell) -> tuple[list[str], list[list[int]]]:
    """Read the names of the classes, and counts [true class, predicted class]."""
    path = cell.directory / "confusion.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        classes, matrix = list(map(str, content["classes"])), [list(map(int, row)) for row in content["confusion"]]
        if {len(matrix), *map(len, matrix)} != {len(classes)}:
            raise ValueError("not one row and one column a class")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BenchError(f"{path} cannot be read: `slt-bench evaluate {cell.id}` writes it again") from error
    return classes, matrix
