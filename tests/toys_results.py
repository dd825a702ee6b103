"""Results of cells, as tests hand them over."""

from __future__ import annotations

from slt_bench.experiment.cell import Cell
from slt_bench.records.result import Result, read_outcomes
from slt_bench.tracking.runs import track


def read_results(cells: list[Cell]) -> list[Result]:
    """The results of these cells that may be compared with each other."""
    return [outcome for outcome in read_outcomes(cells).values() if isinstance(outcome, Result)]


def tracked(cells: list[Cell], figures: bool = True) -> tuple[str, int]:
    """Track these cells as those of the table one; returns its experiment and how many runs were written."""
    found = track("one", read_results(cells), figures)
    assert found is not None
    return found
