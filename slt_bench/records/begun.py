"""Cells of more seeds than a table has, which an open claim asked for: those that were begun belong to its work."""

from __future__ import annotations

from slt_bench.experiment.experiments import Experiment


def begun(experiment: Experiment) -> Experiment:
    """Return a table with those of its spare cells whose search has left a record, whatever became of it."""
    return experiment.with_more(cell for cell in experiment.spare_cells if (cell.directory / "search.json").is_file())
