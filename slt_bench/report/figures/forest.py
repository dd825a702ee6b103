"""A forest plot: the effect of each claim with its interval, claims of one text together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill

from matplotlib.axes import Axes

from slt_bench.report.figures.draw import drawn
from slt_bench.report.figures.styles import literal

_COLOURS = {"holds": "#0b7a53", "does not hold": "#b3261e"}  # those of pages; grey for what is undecided or no test
_LINE, _WIDTH = 0.2, 8.0  # inches


@dataclass(frozen=True)
class Estimate:
    """The effect of a claim on a pair of lines, in points of accuracy."""

    label: str
    size: float
    low: float
    high: float
    verdict: str


def draw_forest(groups: Mapping[str, Sequence[Estimate]], matters: float, path: Path) -> None:
    """Draw effects against zero, and the range in which they are too small to matter.

    Args:
        groups: text of a claim -> its estimates.
        matters: least size that matters, in points.
        path: of the SVG file.

    Raises:
        BenchError: the file cannot be written.
    """
    titles = {text: literal(fill(text, 90)) for text in groups}
    rows = sum(len(estimates) + 1 + titles[text].count("\n") + 0.6 for text, estimates in groups.items())
    with drawn(path, figsize=(_WIDTH, _LINE * rows + 0.6)) as figure:
        axes = figure.subplots()
        axes.axvspan(0, matters, color="#e8edf5", zorder=0)
        axes.axvline(0, color="#777777", linewidth=1)
        place, ticks = 0.0, list[tuple[float, str]]()
        for text, estimates in groups.items():
            place -= 1 + titles[text].count("\n")
            axes.annotate(
                titles[text], (0.01, place), xycoords=("figure fraction", "data"), va="bottom", fontsize=8.5, fontweight="bold"
            )
            for estimate in estimates:
                place -= 1
                ticks.append((place + 0.5, literal(estimate.label)))
                _draw(axes, estimate, place + 0.5)
            place -= 0.6
        axes.set_yticks([position for position, _ in ticks], [label for _, label in ticks], fontsize=8)
        axes.set(ylim=(place, 0), xlabel="points of test accuracy; shaded: more than nothing, and too little to matter")
        axes.grid(axis="y", visible=False)
        axes.tick_params(axis="y", length=0)


def _draw(axes: Axes, estimate: Estimate, place: float) -> None:
    colour = _COLOURS.get(estimate.verdict, "#8a93a3")
    axes.plot([estimate.low, estimate.high], [place, place], color=colour, linewidth=1.6, solid_capstyle="butt")
    axes.plot([estimate.size], [place], "o", color=colour, markersize=4)
    axes.annotate(estimate.verdict, (1.01, place), xycoords=("axes fraction", "data"), va="center", fontsize=7.5, color=colour)
