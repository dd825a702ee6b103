"""The one-vector network: learned scores -> mask -> effective weights -> logits."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call

from slt_bench.schedules import Learned
from slt_bench.selection import keep_largest
from slt_bench.source import FREE, LOCKED, PRUNED, SourceNetwork

Scale = Literal["none", "static", "dynamic"]


@dataclass(frozen=True)
class Counts:
    """Edges by what becomes of them, per layer or in all."""

    total: int
    pruned: int
    locked: int
    kept_free: int

    @property
    def kept(self) -> int:
        """Non-zero edges of the ticket: kept free ones and locked ones."""
        return self.kept_free + self.locked

    @property
    def density(self) -> float:
        """Kept share of all edges."""
        return self.kept / self.total


class TicketNetwork(nn.Module):
    """A source network with one learned value per free edge.

    The plain module sees views of the effective weights; everything else is a few passes over flat vectors.

    Args:
        module: the architecture, its parameters unused.
        source: weights and roles.
        learned: float32[N_free]: scores, or the free weights themselves where these are trained.
        learns: what `learned` is; with "nothing" it is a fixed ranking.
        scale: of the effective weights (law 4).
    """

    def __init__(self, module: nn.Module, source: SourceNetwork, learned: Tensor, learns: Learned, scale: Scale) -> None:
        super().__init__()
        self.module = module
        self.source = source
        self.learns = learns
        self.scale = scale
        self.learned = nn.Parameter(learned.clone(), requires_grad=learns != "nothing")
        free = torch.nonzero(source.roles == FREE).squeeze(1)
        self.free = None if free.numel() == source.size else free  # no index where every edge is free
        self.free_weights = _at(source.weights, self.free)
        bounds = torch.tensor([layer.stop for layer in source.layers], device=free.device)
        self.free_stops = torch.searchsorted(free, bounds).tolist()
        self.fixed = torch.where(source.roles == LOCKED, source.weights, torch.zeros_like(source.weights))
        self.locked = [int((source.roles[x.start : x.stop] == LOCKED).sum()) for x in source.layers]
        self.mask = torch.ones_like(self.free_weights, dtype=torch.bool)

    def keep_for(self, sparsity: float) -> int:
        """Free edges that a ticket of that sparsity keeps: N - round(sN) less the locked ones.

        At an end of the feasible range the three roundings may disagree by one edge; then all or none are kept.
        """
        wanted = self.source.size - round(sparsity * self.source.size) - sum(self.locked)
        return min(max(wanted, 0), self.free_weights.numel())

    def select(self, keep_free: int) -> Tensor:
        """Refresh the mask: the `keep_free` free edges of largest |score| over all layers. Trained weights are all kept."""
        if self.learns != "weights":
            self.mask = keep_largest(self.learned, keep_free)
        return self.mask

    def forward(self, images: Tensor) -> Tensor:
        """Logits [batch, classes]; call `select` first."""
        views = _EffectiveWeights.apply(self.learned, self, self.layer_scales())  # type: ignore[no-untyped-call]
        weights = {layer.name: view for layer, view in zip(self.source.layers, views, strict=True)}
        return functional_call(self.module, weights, (images,))

    def layer_scales(self) -> list[float] | None:
        """One factor per layer, or None where all are 1.

        static: 1/sqrt(1-s); dynamic: 1/sqrt(current density of the layer), 0 for an emptied layer, never NaN.
        """
        if self.scale == "none":
            return None
        kept = [count.kept for count in self.layer_counts()]
        if self.scale == "static":
            density = sum(kept) / self.source.size
            return [1 / sqrt(density) if density else 0.0] * len(kept)
        return [sqrt(x.size / k) if k else 0.0 for x, k in zip(self.source.layers, kept, strict=True)]

    def layer_counts(self) -> list[Counts]:
        """Realised counts of every layer under the current mask."""
        counts, start = [], 0
        for layer, stop, locked in zip(self.source.layers, self.free_stops, self.locked, strict=True):
            kept = int(torch.count_nonzero(self.mask[start:stop]))
            counts.append(Counts(layer.size, layer.size - (stop - start) - locked, locked, kept))
            start = stop
        return counts

    def counts(self) -> Counts:
        """Realised counts over all layers."""
        source = self.source
        kept = int(torch.count_nonzero(self.mask))
        return Counts(source.size, source.count(PRUNED), source.count(LOCKED), kept)

    @torch.no_grad()
    def effective_weights(self) -> Tensor:
        """float32[N]: weights * mask * scale, the locked ones kept and the pruned ones zero."""
        values = self.learned.clone() if self.learns == "weights" else self.free_weights * self.mask
        return compose(self.source, self.fixed, self.free, values, self.layer_scales())

    def plain_module(self) -> nn.Module:
        """The architecture with the effective weights as its parameters, in evaluation mode; this network shares it."""
        effective = self.effective_weights()
        for layer in self.source.layers:
            owner = self.module.get_submodule(layer.name.removesuffix(".weight"))
            owner.weight = nn.Parameter(effective[layer.start : layer.stop].view(layer.shape).clone(), requires_grad=False)
        return self.module.eval()


def compose(source: SourceNetwork, fixed: Tensor, free: Tensor | None, values: Tensor, scales: list[float] | None) -> Tensor:
    """Lay the values of the free edges (used up) over the fixed edges and scale layer by layer: float32[N]."""
    effective = values if free is None else fixed.index_copy(0, free, values)
    if scales is not None:
        for layer, factor in zip(source.layers, scales, strict=True):
            effective[layer.start : layer.stop] *= factor
    return effective


def _at(vector: Tensor, free: Tensor | None) -> Tensor:
    return vector if free is None else vector.index_select(0, free)


class _EffectiveWeights(torch.autograd.Function):
    """Edge-popup's straight-through step on the flat vector.

    Forward: the effective weights, as one view per layer. Backward: the gradient of a score is the gradient of its
    effective weight times weight * scale * sign(score) (law 3); trained weights get theirs times scale.
    """

    @staticmethod
    def forward(ctx: Any, learned: Tensor, network: TicketNetwork, scales: list[float] | None) -> tuple[Tensor, ...]:
        ctx.network, ctx.scales = network, scales
        ctx.save_for_backward(learned)
        values = learned.clone() if network.learns == "weights" else network.free_weights * network.mask
        effective = compose(network.source, network.fixed, network.free, values, scales)
        return tuple(effective[layer.start : layer.stop].view(layer.shape) for layer in network.source.layers)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        network: TicketNetwork = ctx.network
        (learned,) = ctx.saved_tensors
        layers = network.source.layers
        whole = torch.empty_like(network.source.weights)
        for index, layer in enumerate(layers):
            part = whole[layer.start : layer.stop].view(layer.shape)
            factor = ctx.scales[index] if ctx.scales is not None else None
            part.copy_(gradients[index]) if factor is None else torch.mul(gradients[index], factor, out=part)
        gradient = _at(whole, network.free)
        if network.learns == "scores":
            gradient = gradient.mul_(network.free_weights).mul_(learned.sign())
        return gradient, None, None
