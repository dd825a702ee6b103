"""The looks of lines in figures: colour by search or freezing ratio, marker and dash by source, depth by sparsity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib.pyplot as plt

from slt_bench.common.text import grouped
from slt_bench.report.lines import Line

_MARKERS = {"dense": "o", "randomly pruned": "s", "frozen": "D", "from ticket": "^"}
_DASHES: dict[str, Any] = {
    "dense": "-",
    "randomly pruned": (0, (5, 2)),
    "frozen": (0, (1, 1.5)),
    "from ticket": (0, (5, 1, 1, 1)),
}
NAMED = 12  # lines that a legend can name one by one


@dataclass(frozen=True)
class Styles:
    """The looks of the lines that one figure shows."""

    lines: Sequence[Line]

    @property
    def by_freezing(self) -> bool:
        """Whether colours show freezing ratios: if one search is run in sources of several ratios."""
        searched = [line.cell for line in self.lines if line.is_searched]
        ratios, searches = {cell.source.freezing_ratio for cell in searched}, {cell.search_name for cell in searched}
        return len(ratios) > 3 and len(searches) == 1

    def colour(self, line: Line) -> Any:
        """Choose a line's colour by its freezing ratio or its search."""
        if self.by_freezing and line.is_searched:
            return plt.get_cmap("viridis")(0.92 * line.cell.source.freezing_ratio)
        return line.cell.search.colour

    def marker(self, line: Line) -> str:
        """Choose a line's marker by the kind of its source."""
        return _MARKERS[line.cell.source.kind]

    def dash(self, line: Line) -> Any:
        """Choose a line's dash by the kind of its source."""
        return _DASHES[line.cell.source.kind]

    def depth(self, line: Line) -> float:
        """Choose a line's opacity: sparser tickets are paler, unless colours show freezing ratios."""
        return 1.0 if self.by_freezing else 1.0 - 0.6 * line.cell.sparsity

    def name(self, line: Line, at_its_sparsity: bool = True) -> str:
        """Name a line for a legend; where there are many lines, those that look alike have one name.

        Args:
            line: the line.
            at_its_sparsity: whether what is drawn is of its sparsity alone.
        """
        cell = line.cell
        if len(self.lines) <= NAMED:
            sparsity = "" if cell.search.learns == "weights" or not at_its_sparsity else f", s = {cell.sparsity:g}"
            return literal(f"{line.label}, {cell.source}{sparsity}")
        if self.by_freezing and line.is_searched:
            frozen = f", F = {cell.source.freezing_ratio:g}" if cell.source.freezing_ratio else ""
            return literal(f"{line.label}, {cell.source.kind}{frozen}")
        return literal(f"{line.label}, {cell.source.kind}")


def literal(text: str) -> str:
    """Write somebody's text so that matplotlib shows it as it is: a dollar is no mathematics, an underscore hides nothing."""
    return (" " if text.startswith("_") else "") + text.replace("$", r"\$")


def panels(lines: Sequence[Line]) -> dict[str, list[Line]]:
    """Group lines by network: those that may stand in one pair of axes, by its title."""
    return grouped(lines, lambda line: f"{line.cell.network_name}, {line.cell.dataset_name}")
