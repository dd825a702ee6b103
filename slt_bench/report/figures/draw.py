"""Figures of a table, as SVG and PNG; the same results give the same bytes of SVG."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from textwrap import fill
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from slt_bench.common.files import replaced, write_bytes
from slt_bench.report.figures.panels import layer_density, score_distribution
from slt_bench.report.figures.plots import (
    Draw,
    accuracy_against,
    accuracy_against_freezing,
    accuracy_against_sparsity,
    curves,
    dying_against_sparsity,
    freezing,
    sparsity,
)
from slt_bench.report.figures.styles import Styles, panels
from slt_bench.report.lines import Line

_STYLE: Any = {
    "svg.hashsalt": "slt-bench", "figure.dpi": 120, "savefig.dpi": 160, "font.size": 10, "axes.spines.top": False,
    "axes.spines.right": False, "axes.grid": True, "grid.color": "#e6e6e6", "grid.linewidth": 0.8, "axes.axisbelow": True,
    "axes.edgecolor": "#777777", "axes.titlesize": 10, "legend.frameon": False, "legend.fontsize": 8,
}  # fmt: skip
_COLUMNS = 2  # of panels, one for each dataset and network
_INSIDE = 12  # searches that the figures of their insides show


def draw_figures(lines: Sequence[Line], title: str, directory: Path) -> list[str]:
    """Draw every figure that the results allow; returns their names (without ending)."""
    done = [line for line in lines if line.results]
    searched = [line for line in done if line.is_searched]
    sparsities, ratios = (
        any(len({key(line) for line in panel}) > 2 for panel in panels(searched).values()) for key in (sparsity, freezing)
    )
    figures: dict[str, tuple[Sequence[Line], Draw]] = {
        "accuracy-size": (done, accuracy_against("bytes", "size of the ticket file")),
        "accuracy-coded-size": (done, accuracy_against("coded_bytes", "size of the ticket file, its mask entropy-coded")),
        "accuracy-sparsity": (done, accuracy_against_sparsity),
        "accuracy-freezing": (searched if ratios else [], accuracy_against_freezing),
        "dying-sparsity": (searched if sparsities else [], dying_against_sparsity),
        "learning-curves": ([line for line in done if line.is_validated], curves("val_top1", "validation top-1 (%)")),
        "dying-edges": (searched, curves("dying_edge_ratio", "dying edges: share in no mask so far")),
        "mask-churn": (searched, curves("mask_churn", "mask churn: share that changed sides")),
    }
    with replaced(directory) as fresh:  # figures that these results no longer allow go with the old ones
        return _draw_all(figures, searched, title, fresh)


def _draw_all(
    figures: dict[str, tuple[Sequence[Line], Draw]], searched: Sequence[Line], title: str, directory: Path
) -> list[str]:
    drawn = {name: figure for name, figure in figures.items() if figure[0]}
    for name, (shown, draw) in drawn.items():
        with plt.rc_context(_STYLE):
            _save(_figure(shown, draw, title), directory / name)
    inside = searched[:: -(-len(searched) // _INSIDE)] if searched else []
    some = f" ({len(inside)} of {len(searched)} searches)" if len(inside) < len(searched) else ""
    by_search = {"layer-density": layer_density, "score-distribution": score_distribution} if inside else {}
    for name, draw_panels in by_search.items():
        with plt.rc_context(_STYLE):
            many = len(panels(inside)) > 1
            names = [Styles(inside).name(line) + (f", {line.cell.network_name}" if many else "") for line in inside]
            figure = draw_panels(list(zip(names, (line.results[0] for line in inside), strict=True)))
            figure.suptitle(fill(title + some, 70), x=0.01, ha="left", fontsize=12, fontweight="bold")
            _save(figure, directory / name)
    return [*drawn, *by_search]


def confusion_figure(matrix: list[list[int]], classes: list[str], path: Path) -> None:
    """Confusion matrix as a PNG: rows are true classes, in percent of the row."""
    with plt.rc_context(_STYLE):
        figure, axes = plt.subplots(figsize=(6, 5.4), layout="constrained")
        shares = [[100 * count / max(1, sum(row)) for count in row] for row in matrix]
        image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=100)
        if len(classes) <= 20:
            axes.set_xticks(range(len(classes)), classes, rotation=45, ha="right")
            axes.set_yticks(range(len(classes)), classes)
        axes.grid(False)
        axes.set(xlabel="predicted class", ylabel="true class", title="Confusion on the test set")
        figure.colorbar(image, label="% of the true class", shrink=0.8)
        figure.savefig(path, format="png")
        plt.close(figure)


def _figure(lines: Sequence[Line], draw: Draw, title: str) -> Figure:
    """A panel for each dataset and network, and one legend."""
    found, styles = panels(lines), Styles(lines)
    columns = min(_COLUMNS, len(found))
    rows = -(-len(found) // columns)
    names = dict.fromkeys(styles.name(line) for line in lines)
    width = 7.2 if columns == 1 else 10.4
    beside = max(1, int(13 * width / (max(map(len, names)) + 10)))  # in a row of the legend, which stands below
    height = 0.9 + 3.5 * rows + 0.18 * (len(names) // beside + 1)
    figure, grid = plt.subplots(rows, columns, figsize=(width, height), layout="constrained", squeeze=False)
    flat: list[Axes] = list(grid.flat)
    once: dict[str, Any] = {}
    for axes, (name, members) in zip(flat, found.items(), strict=False):
        draw(axes, members, styles)
        if len(found) > 1:
            axes.set_title(name)
        handles, labels = axes.get_legend_handles_labels()
        once |= dict(zip(labels, handles, strict=True))
    for axes in flat[len(found) :]:
        axes.set_visible(False)
    figure.suptitle(fill(title, int(9 * width)), x=0.01, ha="left", fontsize=12, fontweight="bold")
    figure.legend(list(once.values()), list(once), loc="outside lower left", ncols=beside)
    return figure


def _save(figure: Figure, path: Path) -> None:
    for ending, metadata in ((".svg", {"Date": None}), (".png", None)):
        content = BytesIO()
        figure.savefig(content, format=ending[1:], metadata=metadata)
        write_bytes(path.with_suffix(ending), content.getvalue())  # in place of the old file, which may be a link
    plt.close(figure)
