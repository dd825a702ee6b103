"""The colours of sources; searches declare their own."""

from __future__ import annotations

from slt_bench.common.colours import BLUE, GREEN, PURPLE, VERMILION
from slt_bench.experiment.cell import Cell

_SOURCES = {"dense": BLUE, "randomly pruned": VERMILION, "frozen": GREEN, "from ticket": PURPLE}


def source_colour(cell: Cell) -> str:
    """Choose the colour of a cell by its source; baselines have that of their search."""
    return _SOURCES[cell.source.kind] if cell.search.is_searched else cell.search.colour
