"""The one-vector network: learned scores -> mask -> effective weights -> logits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import sqrt
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from slt_bench.networks.budget import even_density
from slt_bench.networks.source import FREE, LOCKED, SourceNetwork
from slt_bench.params.recipes import Scale
from slt_bench.params.searches import Learned, Selection
from slt_bench.ticket.counts import Counts
from slt_bench.ticket.top_k import keep_largest


class MaskedNetwork(nn.Module):
    """A source network with one learned value per free edge.

    The plain module sees views of the effective weights, which `select` composes; everything else is a few passes over
    flat vectors, into memory that is reused (docs/performance.md).

    Args:
        module: the architecture, its parameters unused.
        source: weights and roles.
        learned: float32[N_free]: scores, or the free weights themselves where these are trained.
        learns: what `learned` is; with "nothing" it is a fixed ranking.
        scale: of the effective weights (law 4).
        selection: one threshold over all layers, or the same density in every layer.
        dtype: of the effective weights, and with them of the forward and backward pass.
        compiled: whether the forward and backward pass go through torch.compile.
    """

    def __init__(
        self,
        module: nn.Module,
        source: SourceNetwork,
        learned: Tensor,
        learns: Learned,
        scale: Scale,
        selection: Selection = "global",
        dtype: torch.dtype = torch.float32,
        compiled: bool = False,
    ) -> None:
        super().__init__()
        self.module, self.source, self.learns, self.scale, self.selection = module, source, learns, scale, selection
        self.learned = nn.Parameter(learned.clone(), requires_grad=learns != "nothing")
        self.budget = source.budget
        free = torch.nonzero(source.roles == FREE).squeeze(1)
        self.free = None if free.numel() == source.size else free  # no index where every edge is free
        self.free_weights = source.weights if self.free is None else source.weights.index_select(0, self.free)
        self.free_stops = self.budget.free.cumsum().tolist()
        self.mask = torch.ones_like(self.free_weights, dtype=torch.bool)
        self.effective = torch.zeros_like(source.weights, dtype=dtype)  # as pruned edges stay
        self._bits = _bits(self.free_weights.to(dtype))
        self._values = self.effective if self.free is None else torch.empty_like(self.free_weights, dtype=dtype)
        self._upper, self._ones = (torch.empty_like(self.mask, dtype=kind) for kind in (torch.int16, torch.int8))
        self._gradient = torch.empty_like(source.weights) if learns != "nothing" else None
        self._signs = torch.empty_like(self.free_weights) if learns == "scores" else None
        self._free_gradient = torch.empty_like(self.free_weights) if self.free is not None and learns != "nothing" else None
        self._locked = torch.nonzero(source.roles == LOCKED).squeeze(1)
        self._locked_weights = source.weights[self._locked].to(dtype)
        self.effective.scatter_(0, self._locked, self._locked_weights)
        self._call: Callable[..., Tensor] = torch.compile(self._plain) if compiled else self._plain
        self.compose()

    def keep_for(self, sparsity: float, within: Sequence[int] | None = None) -> list[int]:
        """Free edges that a ticket of that sparsity keeps: N - round(sN) less the locked ones, in all or in every layer.

        At an end of the feasible range the three roundings may disagree by one edge; then all or none are kept.
        `within` is what was kept before, where no layer may gain.
        """
        locked = int(self.budget.locked.sum())
        wanted = self.source.size - round(sparsity * self.source.size) - locked
        wanted = min(max(wanted, 0), self.free_weights.numel())
        return [wanted] if self.selection == "global" else even_density(self.budget, locked + wanted, within).tolist()

    def select(self, keep: Sequence[int]) -> Tensor:
        """Refresh mask and effective weights; `keep` is what `keep_for` gave. Trained weights are all kept.

        Returns:
            bool[N_free], overwritten by the next selection.
        """
        if self.learns != "weights":
            stops = [self.mask.numel()] if self.selection == "global" else self.free_stops
            start = 0
            for stop, count in zip(stops, keep, strict=True):
                keep_largest(self.learned[start:stop], count, self.mask[start:stop], self._upper[start:stop])
                start = stop
        self.compose()
        return self.mask

    def forward(self, images: Tensor) -> Tensor:
        """Logits [batch, classes] in float32; call `select` after every change of what is learned."""
        views = _EffectiveWeights.apply(self.learned, self)  # type: ignore[no-untyped-call]
        weights = {layer.name: view for layer, view in zip(self.source.layers, views, strict=True)}
        return self._call(weights, images.to(self.effective.dtype)).float()

    def _plain(self, weights: dict[str, Tensor], images: Tensor) -> Tensor:
        logits: Tensor = functional_call(self.module, weights, (images,))
        return logits

    def layer_scales(self) -> list[float] | None:
        """One factor per layer, or None where all are 1.

        1/sqrt(d) with the density d as the mask has it now, locked edges included: static that of the network, dynamic that
        of the layer. 0 for an emptied layer, never NaN.
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
        sizes, pruned, locked = (each.tolist() for each in (self.budget.sizes, self.budget.pruned, self.budget.locked))
        for size, out, always, stop in zip(sizes, pruned, locked, self.free_stops, strict=True):
            counts.append(Counts(size, out, always, int(torch.count_nonzero(self.mask[start:stop]))))
            start = stop
        return counts

    def counts(self) -> Counts:
        """Realised counts over all layers."""
        budget, kept = self.budget, int(torch.count_nonzero(self.mask))
        return Counts(self.source.size, int(budget.pruned.sum()), int(budget.locked.sum()), kept)

    @torch.no_grad()
    def compose(self) -> None:
        """Refresh the effective weights: weights * mask * scale, the locked ones kept and the pruned ones zero."""
        if self.learns == "weights":
            self._values.copy_(self.learned)
        else:  # times 0 or 1, as a bitwise and with 0 or -1: a fraction of a multiplication's passes
            torch.bitwise_and(self._bits, torch.neg(self.mask.view(torch.int8), out=self._ones), out=_bits(self._values))
        scales = self.layer_scales()
        if self.free is not None:
            if scales is not None:  # they were scaled by another factor before
                self.effective.scatter_(0, self._locked, self._locked_weights)
            self.effective.scatter_(0, self.free, self._values)
        self.scales = scales or [1.0] * len(self.source.layers)
        if scales is not None:
            for layer, factor in zip(self.source.layers, scales, strict=True):
                self.effective[layer.start : layer.stop].mul_(factor)

    def plain_module(self) -> nn.Module:
        """The architecture with the effective weights as its parameters, in evaluation mode; this network shares it."""
        for layer in self.source.layers:
            owner = self.module.get_submodule(layer.name.removesuffix(".weight"))
            owner.weight = nn.Parameter(layer.view(self.effective).clone(), requires_grad=False)
        return self.module.eval()

    @torch.no_grad()
    def take_gradient(self, gradients: Sequence[Tensor]) -> None:
        """Turn the gradients of the effective weights into that of what is learned (law 3), in `learned.grad`.

        The gradient of a score is the gradient of its effective weight times weight * scale * sign(score), which is 0
        for a score of 0; trained weights get theirs times scale.
        """
        assert self._gradient is not None
        assert self.learned.grad is None, "one backward pass a step: the gradient's memory is reused"
        for layer, gradient, factor in zip(self.source.layers, gradients, self.scales, strict=True):
            part = layer.view(self._gradient)
            part.copy_(gradient)
            if factor != 1.0:
                part.mul_(factor)
        whole = self._gradient
        if self.free is not None and self._free_gradient is not None:
            whole = torch.index_select(self._gradient, 0, self.free, out=self._free_gradient)
        if self._signs is not None:
            whole.mul_(self.free_weights).mul_(torch.sign(self.learned, out=self._signs))
        self.learned.grad = whole


def _bits(values: Tensor) -> Tensor:
    """The same memory as integers."""
    return values.view(torch.int32 if values.element_size() == 4 else torch.int16)


class _EffectiveWeights(torch.autograd.Function):
    """Edge-popup's straight-through step: the effective weights, as one view per layer; their gradients go to the scores."""

    @staticmethod
    def forward(ctx: Any, _learned: Tensor, network: MaskedNetwork) -> tuple[Tensor, ...]:
        ctx.network = network
        return tuple(layer.view(network.effective) for layer in network.source.layers)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, None]:
        ctx.network.take_gradient(gradients)
        return None, None
