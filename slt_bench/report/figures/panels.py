"""Figures with a panel a setting: how its search went inside, shown by its first seed."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import fill
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator

from slt_bench.records.history import QUANTILES
from slt_bench.records.result import Result
from slt_bench.report.figures.styles import literal

_COLUMNS = 3


def layer_density(searches: Sequence[tuple[str, Result]]) -> Figure:
    """Draw the kept share of every layer over the epochs; the first layers are dark. `Styles` names the searches."""
    figure, panels = _panels(searches)
    for axes, (_, result) in zip(panels, searches, strict=True):
        layers = result.record["layers"]
        for index, layer in enumerate(layers):
            shares = [epoch.layer_density[index] for epoch in result.history]
            colour = plt.get_cmap("viridis")(0.9 * index / max(1, len(layers) - 1))
            axes.plot(
                _epochs(result), shares, color=colour, linewidth=1.4, label=literal(layer["name"].removesuffix(".weight"))
            )
        axes.set_ylim(-0.03, 1.03)
    panels[0].set_ylabel("kept share of the layer")
    handles, labels = panels[0].get_legend_handles_labels()
    if len({tuple(layer["name"] for layer in result.record["layers"]) for _, result in searches}) > 1:  # several networks
        handles, labels = [handles[0], handles[-1]], ["first", "last"]
    step = -(-len(labels) // 12)
    figure.legend(handles[::step], labels[::step], loc="outside right upper", title="layer", fontsize=8)
    return figure


def score_distribution(searches: Sequence[tuple[str, Result]]) -> Figure:
    """Draw quantiles of |score| over the epochs. `Styles` names the searches."""
    figure, panels = _panels(searches)
    low, quarter, half, three, high = range(len(QUANTILES))
    for axes, (_, result) in zip(panels, searches, strict=True):
        values = list(zip(*(epoch.score_quantiles for epoch in result.history), strict=True))
        epochs = _epochs(result)
        axes.fill_between(epochs, values[low], values[high], color="#0072B2", alpha=0.15, linewidth=0, label="5 to 95 %")
        axes.fill_between(epochs, values[quarter], values[three], color="#0072B2", alpha=0.3, linewidth=0, label="25 to 75 %")
        axes.plot(epochs, values[half], color="#0072B2", linewidth=1.6, label="median")
        axes.set_yscale("log")
        axes.yaxis.set_minor_locator(NullLocator())  # drawing their labels would take most of the time
    panels[0].set_ylabel("|score|")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right upper", fontsize=9)
    return figure


def _panels(searches: Sequence[tuple[str, Result]]) -> tuple[Figure, list[Axes]]:
    columns = min(_COLUMNS, len(searches))
    rows = -(-len(searches) // columns)
    figure, grid = plt.subplots(
        rows,
        columns,
        figsize=(max(7.2, 1.6 + 3.2 * columns), 0.5 + 2.4 * rows),
        layout="constrained",
        sharey=True,
        squeeze=False,
    )
    flat: list[Any] = list(grid.flat)
    for axes, (name, _) in zip(flat, searches, strict=False):
        axes.set_title(fill(name, 36), fontsize=8, fontweight="normal")
        axes.set_xlabel("epoch", fontsize=8)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axes in flat[len(searches) :]:
        axes.set_visible(False)
    return figure, flat[: len(searches)]


def _epochs(result: Result) -> range:
    return range(1, len(result.history) + 1)
