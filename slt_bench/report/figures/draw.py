"""Figures of a table, as SVG; equal results give files of equal bytes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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
from slt_bench.report.figures.styles import Styles, literal, panels
from slt_bench.report.lines import Line

_STYLE: Any = {
    "svg.hashsalt": "slt-bench", "figure.dpi": 120, "savefig.dpi": 160, "font.size": 10, "axes.spines.top": False,
    "axes.spines.right": False, "axes.grid": True, "grid.color": "#e6e6e6", "grid.linewidth": 0.8, "axes.axisbelow": True,
    "axes.edgecolor": "#777777", "axes.titlesize": 10, "legend.frameon": False, "legend.fontsize": 8,
}  # fmt: skip
_COLUMNS = 2  # of panels
_INSIDE = 12  # searches that the figures of their insides show


def draw_figures(lines: Sequence[Line], title: str, directory: Path) -> list[str]:
    """Draw every figure that the results of a table allow.

    Args:
        lines: of the table.
        title: of the table, which stands above each figure.
        directory: its `figures` gets the files; what was there before is removed.

    Returns:
        The names of the figures, without ending.

    Raises:
        BenchError: a file cannot be written; the old figures are still there.
    """
    shown = [line for line in lines if line.results]
    searched = [line for line in shown if line.is_searched]
    coded = [line for line in shown if line.optional("coded_bytes")]
    sparsities, ratios = (
        any(len({key(line) for line in panel}) > 2 for panel in panels(searched).values()) for key in (sparsity, freezing)
    )
    figures: dict[str, tuple[Sequence[Line], Draw]] = {
        "accuracy-size": (shown, accuracy_against("bytes", "size of the ticket file")),
        "accuracy-coded-size": (coded, accuracy_against("coded_bytes", "size of the ticket file, its mask entropy-coded")),
        "accuracy-sparsity": (shown, accuracy_against_sparsity),
        "accuracy-freezing": (searched if ratios else [], accuracy_against_freezing),
        "dying-sparsity": (searched if sparsities else [], dying_against_sparsity),
        "learning-curves": ([line for line in shown if line.is_validated], curves("val_top1", "validation top-1 (%)")),
        "dying-edges": (searched, curves("dying_edge_ratio", "dying edges: share in no mask so far")),
        "mask-churn": (searched, curves("mask_churn", "mask churn: share that changed sides")),
    }
    allowed = {name: figure for name, figure in figures.items() if figure[0]}
    with replaced(directory / "figures") as vectors, plt.rc_context(_STYLE):
        for name, (drawn, draw) in allowed.items():
            _save(_figure(drawn, draw, title), vectors / f"{name}.svg")
        inside = _draw_insides(searched, title)
        for name, figure in inside.items():
            _save(figure, vectors / f"{name}.svg")
    return [*allowed, *inside]


def _draw_insides(searched: Sequence[Line], title: str) -> dict[str, Figure]:
    """Draw how searches went inside, of some lines where there are many."""
    if not searched:
        return {}
    chosen = searched[:: -(-len(searched) // _INSIDE)]
    part = f" ({len(chosen)} of {len(searched)} searches)" if len(chosen) < len(searched) else ""
    with_network = len(panels(chosen)) > 1
    names = [Styles(chosen).name(line) + (f", {line.cell.network_name}" if with_network else "") for line in chosen]
    searches = list(zip(names, (line.results[0] for line in chosen), strict=True))
    figures = {"layer-density": layer_density(searches), "score-distribution": score_distribution(searches)}
    for figure in figures.values():
        figure.suptitle(literal(fill(title + part, 70)), x=0.01, ha="left", fontsize=12, fontweight="bold")
    return figures


def confusion_figure(matrix: list[list[int]], classes: list[str], path: Path) -> None:
    """Draw a confusion matrix as a PNG file: rows are true classes, in percent of the row.

    Args:
        matrix: counts [true class, predicted class].
        classes: their names.
        path: of the file.
    """
    with plt.rc_context(_STYLE):
        figure, axes = plt.subplots(figsize=(6, 5.4))  # a layout that is computed would take three times as long
        figure.subplots_adjust(left=0.2, right=0.98, bottom=0.2, top=0.93)
        shares = [[100 * count / max(1, sum(row)) for count in row] for row in matrix]
        image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=100)
        if len(classes) <= 20:
            names = [literal(name) for name in classes]
            axes.set_xticks(range(len(classes)), names, rotation=45, ha="right")
            axes.set_yticks(range(len(classes)), names)
        axes.grid(False)
        axes.set(xlabel="predicted class", ylabel="true class", title="Confusion on the test set")
        figure.colorbar(image, label="% of the true class", shrink=0.8)
        figure.savefig(path, format="png")
        plt.close(figure)


@contextmanager
def drawn(path: Path, figsize: tuple[float, float]) -> Iterator[Figure]:
    """Give an empty figure in the style of all others, and save it as SVG once the block has ended well."""
    with plt.rc_context(_STYLE):
        figure = plt.figure(figsize=figsize, layout="constrained")
        yield figure
        _save(figure, path)


def _figure(lines: Sequence[Line], draw: Draw, title: str) -> Figure:
    """Draw a panel for each network, and one legend."""
    by_network, styles = panels(lines), Styles(lines)
    columns = min(_COLUMNS, len(by_network))
    rows = -(-len(by_network) // columns)
    names = dict.fromkeys(styles.name(line) for line in lines)
    width = 7.2 if columns == 1 else 10.4
    beside = max(1, int(13 * width / (max(map(len, names)) + 10)))  # in a row of the legend, which stands below
    height = 0.9 + 3.5 * rows + 0.18 * (len(names) // beside + 1)
    figure, grid = plt.subplots(rows, columns, figsize=(width, height), layout="constrained", squeeze=False)
    flat: list[Axes] = list(grid.flat)
    legend: dict[str, Any] = {}
    for axes, (name, members) in zip(flat, by_network.items(), strict=False):
        draw(axes, members, styles)
        if len(by_network) > 1:
            axes.set_title(literal(name))
        handles, labels = axes.get_legend_handles_labels()
        legend |= dict(zip(labels, handles, strict=True))
    for axes in flat[len(by_network) :]:
        axes.set_visible(False)
    figure.suptitle(literal(fill(title, int(9 * width))), x=0.01, ha="left", fontsize=12, fontweight="bold")
    figure.legend(list(legend.values()), list(legend), loc="outside lower left", ncols=beside)
    return figure


def _save(figure: Figure, path: Path) -> None:
    content = BytesIO()
    figure.savefig(content, format="svg", metadata={"Date": None})
    write_bytes(path, content.getvalue())
    plt.close(figure)
