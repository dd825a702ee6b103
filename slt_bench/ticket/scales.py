"""Scales: the factor of each layer's effective weights, which makes up for the edges that the mask drops (law 4)."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

from slt_bench.params.recipes import Scale
from slt_bench.ticket.counts import Counts


def layer_scales(scale: Scale, counts: Sequence[Counts]) -> list[float]:
    """Compute the scale of each layer: 1, or 1/sqrt(d) with the density d, locked edges included.

    Args:
        scale: `none`: 1; `static`: d is the density of the whole network; `dynamic`: d is the density of the layer.
        counts: of each layer, under the present mask.

    Returns:
        One factor for each layer; 0 for an emptied layer, never NaN.
    """
    if scale == "none":
        return [1.0] * len(counts)
    if scale == "static":
        density = sum(layer.kept for layer in counts) / sum(layer.total for layer in counts)
        return [1 / sqrt(density) if density else 0.0] * len(counts)
    return [sqrt(layer.total / layer.kept) if layer.kept else 0.0 for layer in counts]
