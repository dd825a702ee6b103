"""Plots of the lines of one network, each in one pair of axes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import mean, stdev
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter, LogLocator, MaxNLocator, NullFormatter

from slt_bench.common.text import grouped
from slt_bench.report.figures.styles import NAMED, Styles
from slt_bench.report.lines import Line

Draw = Callable[[Axes, Sequence[Line], Styles], None]  # draws these lines into the axes


def accuracy_against(size: str, label: str) -> Draw:
    """Make the plot of accuracy against a size in bytes, with the Pareto front of the searched tickets.

    Args:
        size: name of the metric.
        label: of the x axis.
    """

    def draw(axes: Axes, lines: Sequence[Line], styles: Styles) -> None:
        sized = [line for line in lines if line.optional(size)]
        points = [(mean(line.optional(size)), mean(line.values("top1"))) for line in sized if line.is_searched]
        front = [point for point in points if not any(x <= point[0] and y > point[1] for x, y in points)]
        if len(front) > 1:
            xs, ys = zip(*sorted(front), strict=True)
            axes.step(xs, ys, where="post", color="#bbbbbb", linewidth=1.2, label="Pareto front of the tickets", zorder=1)
        for line in sized:
            _point(axes, line, mean(line.optional(size)), styles)
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(EngFormatter("B"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set(xlabel=label, ylabel="test top-1 (%)")
        _leave_out_controls(axes, lines)

    return draw


def accuracy_against_sparsity(axes: Axes, lines: Sequence[Line], styles: Styles) -> None:
    """Draw accuracy against sparsity; lines of one search in one source are joined."""
    _join(axes, lines, styles, sparsity, lambda line: mean(line.values("top1")))
    for line in lines:
        _point(axes, line, line.cell.sparsity, styles)
    axes.set(xlabel="sparsity (share of all weights that are zero)", ylabel="test top-1 (%)", xlim=(-0.03, 1.0))
    _leave_out_controls(axes, lines)


def accuracy_against_freezing(axes: Axes, lines: Sequence[Line], styles: Styles) -> None:
    """Draw accuracy against freezing; lines of a row are joined if they keep one share of free edges, or else one sparsity."""
    dense = [line for line in lines if line.cell.source.kind == "dense"]
    frozen = [line for line in lines if line.cell.source.kind in ("randomly pruned", "frozen")]
    for same in grouped(frozen, _at_freezing).values():
        by_share = len({_free_kept(line) for line in same}) == 1
        for equal in [same] if by_share else grouped(same, sparsity).values():
            key: Callable[[Line], float] = _free_kept if by_share else sparsity
            origin = [
                line for line in dense if (line.cell.search_name, key(line)) == (equal[0].cell.search_name, key(equal[0]))
            ]
            ordered = sorted([*origin, *equal], key=freezing)
            if len({freezing(line) for line in equal}) < 2:
                continue
            kept = f"{_free_kept(equal[0]):.0%} of the free edges kept" if by_share else f"s = {sparsity(equal[0]):g}"
            axes.errorbar(
                [freezing(line) for line in ordered], [mean(line.values("top1")) for line in ordered],
                yerr=[_deviation(line) for line in ordered], color=plt.get_cmap("plasma")(0.85 * key(equal[0])),
                linestyle=styles.dash(equal[0]), marker=styles.marker(equal[0]), markersize=5, capsize=2, linewidth=1.2,
                label=f"{equal[0].label}, {equal[0].cell.source.kind}, {kept}",
            )  # fmt: skip
    axes.set(xlabel="freezing ratio F = p + l (0: dense)", ylabel="test top-1 (%)", xlim=(-0.03, 1.0))


def dying_against_sparsity(axes: Axes, lines: Sequence[Line], styles: Styles) -> None:
    """Draw the share of dying edges against sparsity, with the published values."""
    _join(axes, lines, styles, sparsity, lambda line: mean(line.from_record("dying_edge_ratio")), "o")
    for line in lines:
        for value in line.published:
            if value.quantity == "dying-edge ratio":
                axes.plot(line.cell.sparsity, value.value, "*", color="#000000", markersize=10, label=f"published, {value.how}")
    axes.set(xlabel="sparsity (pruning rate)", ylabel="dying edges: share in no mask", xlim=(-0.03, 1.0))


def _join(
    axes: Axes, lines: Sequence[Line], styles: Styles, x: Callable[[Line], float], y: Callable[[Line], float], marker: str = ""
) -> None:
    """Join the lines that differ in sparsity alone."""
    for same in grouped(lines, _without_sparsity).values():
        ordered = sorted(same, key=x)
        if len(ordered) > 1 or marker:
            style: Any = {"color": styles.colour(same[0]), "linestyle": styles.dash(same[0]), "linewidth": 1.2}
            label = (
                styles.name(same[0], at_its_sparsity=len(ordered) == 1) if marker and len(styles.lines) > len(same) else None
            )
            axes.plot([x(line) for line in ordered], [y(line) for line in ordered], marker=marker, label=label, **style)


def curves(quantity: str, label: str) -> Draw:
    """Make the plot of a quantity of the history over the epochs.

    Args:
        quantity: name of a number of `Epoch`.
        label: of the y axis.
    """

    def draw(axes: Axes, lines: Sequence[Line], styles: Styles) -> None:
        for line in lines:
            runs = [[getattr(epoch, quantity) for epoch in result.history] for result in line.results]
            if any(value is None for run in runs for value in run):
                continue  # no validation where all images are trained on
            curve = [mean(values) for values in zip(*runs, strict=True)]
            epochs = range(1, len(curve) + 1)
            style: Any = {"color": styles.colour(line), "linestyle": styles.dash(line), "alpha": styles.depth(line)}
            axes.plot(epochs, curve, label=styles.name(line), linewidth=1.4, **style)
            if len(runs) > 1 and len(styles.lines) <= NAMED:
                low, high = zip(*((min(values), max(values)) for values in zip(*runs, strict=True)), strict=True)
                axes.fill_between(epochs, low, high, color=styles.colour(line), alpha=0.08, linewidth=0)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set(xlabel="epoch (mean over seeds)", ylabel=label)

    return draw


def _point(axes: Axes, line: Line, x: float, styles: Styles) -> None:
    axes.errorbar(
        x, mean(line.values("top1")), yerr=_deviation(line), color=styles.colour(line), alpha=styles.depth(line),
        marker=styles.marker(line), markersize=6, capsize=2, linestyle="none", label=styles.name(line),
    )  # fmt: skip


def _leave_out_controls(axes: Axes, lines: Sequence[Line]) -> None:
    """Leave random masks, which lie far below the other lines, below the axis, and write where they are."""
    means = {kind: [mean(line.values("top1")) for line in lines if (line.cell.search.learns == "nothing") is kind]
             for kind in (True, False)}  # fmt: skip
    if not (means[True] and means[False]):
        return
    shown = [value for line in lines if line.cell.search.learns != "nothing" for value in line.values("top1")]
    low, high = min(shown), max(shown)
    bottom = low - max(2.0, 0.3 * (high - low))
    if max(means[True]) < min(bottom, min(means[False]) - 5):
        axes.set_ylim(bottom, high + max(1.0, 0.15 * (high - low)))
        where = f"random mask: {mean(means[True]):.1f} %, below this axis"
        axes.text(0.01, 0.02, where, transform=axes.transAxes, color="#777777", fontsize=8)


def _deviation(line: Line) -> float:
    values = line.values("top1")
    return stdev(values) if len(values) > 1 else 0.0


def sparsity(line: Line) -> float:
    """Look up the share of all weights that are zero."""
    return line.cell.sparsity


def freezing(line: Line) -> float:
    """Look up the freezing ratio F = p + l."""
    return round(line.cell.source.freezing_ratio, 9)


def _free_kept(line: Line) -> float:
    return line.cell.free_kept


def _without_sparsity(line: Line) -> tuple[str, ...]:
    """Name all that lines can differ in but the sparsity."""
    cell = line.cell
    return cell.network_name, cell.search_name, cell.recipe_name, cell.source.id


def _at_freezing(line: Line) -> tuple[Any, ...]:
    """Name all that frozen lines of a row can differ in but the frozen share and the sparsity."""
    source = line.cell.source
    pruned_share = round(source.prune_ratio / source.freezing_ratio, 3)
    return line.row, line.cell.search_name, source.layout, source.lock_rule, pruned_share
