"""Results of cells, as tests hand them over."""

from __future__ import annotations

from slt_bench.experiment.cell import Cell
from slt_bench.records.result import Result, read_outcomes


def read_results(cells: list[Cell]) -> list[Result]:
    """The results of these cells that may be compared with each other."""
    return [outcome for outcome in read_outcomes(cells).values() if isinstance(outcome, Result)]
