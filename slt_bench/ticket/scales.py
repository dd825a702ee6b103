"""Scales: the factor of each layer's effective weights, which makes up for the edges that the mask drops (law 4)."""

from __future__ import annotations

import torch
from torch import Tensor

from slt_bench.params.recipes import Scale


def layer_scales(scale: Scale, kept: Tensor, total: Tensor) -> Tensor:
    """Compute the scale of each layer: 1, or 1/sqrt(d) with the density d, locked edges included.

    Args:
        scale: `none`: 1; `static`: d is the density of the whole network; `dynamic`: d is the density of the layer.
        kept: int64[layers], edges of each layer that are kept.
        total: int64[layers], all edges of each layer, on the same device.

    Returns:
        float32[layers]; 0 for an emptied layer, never NaN. Every device computes the same bits.
    """
    if scale == "none":
        return torch.ones(len(total), device=total.device)
    if scale == "static":
        kept, total = kept.sum().expand(len(total)), total.sum().expand(len(total))
        factors = 1 / (kept.double() / total.double()).sqrt()
    else:
        factors = (total.double() / kept.double()).sqrt()
    return torch.where(kept > 0, factors, 0.0).float()
