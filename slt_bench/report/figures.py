"""Figures of a table, as SVG and PNG; the same results give the same bytes of SVG."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from slt_bench.checkpoint import write_bytes
from slt_bench.report.lines import Line
from slt_bench.report.panels import layer_density, score_distribution

_STYLE: Any = {
    "svg.hashsalt": "slt-bench", "figure.dpi": 120, "savefig.dpi": 160, "font.size": 10, "axes.spines.top": False,
    "axes.spines.right": False, "axes.grid": True, "grid.color": "#e6e6e6", "grid.linewidth": 0.8, "axes.axisbelow": True,
    "axes.edgecolor": "#777777", "axes.titlesize": 12, "axes.titleweight": "bold", "axes.titlelocation": "left",
    "legend.frameon": False, "legend.fontsize": 9,
}  # fmt: skip
# Okabe and Ito's colours, told apart with any colour vision.
_COLOURS = {"weight-training": "#000000", "edge-popup": "#0072B2", "iterative-edge-popup": "#D55E00", "random-mask": "#999999"}
_HARD = "#009E73"  # iterative edge-popup inside the last mask
_MARKERS = {"dense": "o", "randomly pruned": "s", "frozen": "D", "from ticket": "^"}
_DASHES: dict[str, Any] = {
    "dense": "-",
    "randomly pruned": (0, (5, 2)),
    "frozen": (0, (1, 1.5)),
    "from ticket": (0, (5, 1, 1, 1)),
}


Draw = Callable[[Axes, Sequence[Line]], None]


def draw_figures(lines: Sequence[Line], title: str, directory: Path) -> list[str]:
    """Draw every figure that the results allow; returns their names (without ending)."""
    done = [line for line in lines if line.results]
    searched = [line for line in done if line.cell.search.kind not in ("weight-training", "random-mask")]
    figures: dict[str, tuple[Sequence[Line], Draw]] = {
        "accuracy-size": (done, _accuracy_against_size),
        "accuracy-sparsity": (done, _accuracy_against_sparsity),
        "learning-curves": (done, _curves("val_top1", "validation top-1 (%)")),
        "dying-edges": (searched, _curves("dying_edge_ratio", "dying edges: share in no mask so far")),
        "mask-churn": (searched, _curves("mask_churn", "mask churn: share that changed sides")),
    }
    panels = {"layer-density": layer_density, "score-distribution": score_distribution}
    directory.mkdir(parents=True, exist_ok=True)
    drawn = {name: draw for name, draw in figures.items() if draw[0]}
    for name, (shown, draw) in drawn.items():
        with plt.rc_context(_STYLE):
            figure, axes = plt.subplots(figsize=(9.2, 4.4), layout="constrained")
            draw(axes, shown)
            axes.set_title(title)
            if name.startswith("accuracy"):
                _leave_out_controls(axes, done)
            _legend(axes)
            _save(figure, directory / name)
    for name, draw_panels in panels.items() if searched else ():
        with plt.rc_context(_STYLE):
            figure = draw_panels([(_name(line), line.results[0]) for line in searched])
            figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold")
            _save(figure, directory / name)
    return [*drawn, *(panels if searched else ())]


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


def _accuracy_against_size(axes: Axes, lines: Sequence[Line]) -> None:
    for line in lines:
        _point(axes, line, mean(line.values("bytes")))
    axes.set_xscale("log")
    axes.set(xlabel="size of the ticket file (bytes)", ylabel="test top-1 (%)")


def _accuracy_against_sparsity(axes: Axes, lines: Sequence[Line]) -> None:
    for same in _series(lines):
        if len(same) > 1:
            ordered = sorted(same, key=lambda line: line.cell.sparsity)
            xs, ys = zip(*((line.cell.sparsity, mean(line.values("top1"))) for line in ordered), strict=True)
            axes.plot(xs, ys, color=_colour(same[0]), linestyle=_dash(same[0]), linewidth=1.2)
        for line in same:
            _point(axes, line, line.cell.sparsity)
    axes.set(xlabel="sparsity (share of all weights that are zero)", ylabel="test top-1 (%)", xlim=(-0.03, 1.0))


def _curves(quantity: str, label: str) -> Draw:
    """A quantity of the history over the epochs."""

    def draw(axes: Axes, lines: Sequence[Line]) -> None:
        for line in lines:
            runs = [[getattr(epoch, quantity) for epoch in result.history] for result in line.results]
            curve = [mean(values) for values in zip(*runs, strict=True)]
            epochs = range(1, len(curve) + 1)
            style: Any = {"color": _colour(line), "linestyle": _dash(line), "linewidth": 1.6, "alpha": _depth(line)}
            axes.plot(epochs, curve, label=_name(line), **style)
            if len(runs) > 1:
                low, high = zip(*((min(values), max(values)) for values in zip(*runs, strict=True)), strict=True)
                axes.fill_between(epochs, low, high, color=_colour(line), alpha=0.08, linewidth=0)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set(xlabel="epoch (mean and range over seeds)", ylabel=label)

    return draw


def _point(axes: Axes, line: Line, x: float) -> None:
    values = line.values("top1")
    axes.errorbar(
        x, mean(values), yerr=stdev(values) if len(values) > 1 else None, color=_colour(line), alpha=_depth(line),
        marker=_MARKERS[line.cell.source.kind], markersize=7, capsize=3, linestyle="none", label=_name(line),
    )  # fmt: skip


def _leave_out_controls(axes: Axes, lines: Sequence[Line]) -> None:
    """Random masks lie far below everything: say where, and let the axis show the rest."""
    means = {kind: [mean(line.values("top1")) for line in lines if (line.cell.search.kind == "random-mask") is kind]
             for kind in (True, False)}  # fmt: skip
    if means[True] and means[False] and max(means[True]) < min(means[False]) - 5:
        shown = [value for line in lines if line.cell.search.kind != "random-mask" for value in line.values("top1")]
        low, high = min(shown), max(shown)
        axes.set_ylim(low - max(2.0, 0.3 * (high - low)), high + max(1.0, 0.15 * (high - low)))
        where = f"random mask: {mean(means[True]):.1f} %, below this axis"
        axes.text(0.01, 0.02, where, transform=axes.transAxes, color="#777777", fontsize=9)


def _series(lines: Sequence[Line]) -> list[list[Line]]:
    """Lines that differ in sparsity alone."""
    groups: dict[tuple[str, ...], list[Line]] = {}
    for line in lines:
        cell = line.cell
        groups.setdefault(
            (cell.dataset_name, cell.network_name, cell.search_name, cell.recipe_name, cell.source.id), []
        ).append(line)
    return list(groups.values())


def _name(line: Line) -> str:
    sparsity = "" if line.cell.search.kind == "weight-training" else f", s = {line.cell.sparsity:g}"
    return f"{line.label}, {line.cell.source}{sparsity}"


def _colour(line: Line) -> str:
    search = line.cell.search
    return _HARD if search.kind == "iterative-edge-popup" and search.space == "hard" else _COLOURS[search.kind]


def _dash(line: Line) -> Any:
    return _DASHES[line.cell.source.kind]


def _depth(line: Line) -> float:
    """Sparser tickets are paler."""
    return 1.0 - 0.6 * line.cell.sparsity


def _legend(axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    once = dict(zip(labels, handles, strict=True))
    axes.legend(list(once.values()), list(once), loc="center left", bbox_to_anchor=(1.01, 0.5))


def _save(figure: Figure, path: Path) -> None:
    for ending, metadata in ((".svg", {"Date": None}), (".png", None)):
        content = BytesIO()
        figure.savefig(content, format=ending[1:], metadata=metadata)
        write_bytes(path.with_suffix(ending), content.getvalue())  # in place of the old file, which may be a link
    plt.close(figure)
