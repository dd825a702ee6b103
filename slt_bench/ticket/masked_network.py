"""The network under a mask: learned scores -> mask -> effective weights -> logits, each over one flat vector of all edges."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from slt_bench.networks.budget import even_density
from slt_bench.networks.source import FREE, LOCKED, SourceNetwork
from slt_bench.params.recipes import Scale
from slt_bench.params.searches import Learned, Selection
from slt_bench.ticket.counts import Counts
from slt_bench.ticket.scales import layer_scales
from slt_bench.ticket.top_k import keep_largest


class MaskedNetwork(nn.Module):
    """A source network with a mask over its free edges, and one learned value for each of them.

    The plain module sees views of the effective weights, which `select` composes; everything else is a few passes over
    flat vectors, into memory that is reused (docs/performance.md).
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
        """Allocate the memory of all steps, and compose the effective weights under a mask that keeps every free edge.

        Args:
            module: the architecture, its parameters unused.
            source: weights and roles; they are only read.
            learned: float32[N_free]: scores, or the free weights themselves where these are trained.
            learns: the meaning of `learned`; with "nothing" it is a fixed ranking.
            scale: of the effective weights (law 4).
            selection: one threshold over all layers, or one density for every layer.
            dtype: of the effective weights, and with them of the forward and backward pass.
            compiled: whether the forward and backward pass go through torch.compile.
        """
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
        self._free_bits = _bits(self.free_weights.to(dtype))
        self._locked = torch.nonzero(source.roles == LOCKED).squeeze(1)
        self._locked_weights = source.weights[self._locked].to(dtype)
        self.effective.scatter_(0, self._locked, self._locked_weights)
        self.scales = [1.0] * len(source.layers)
        self._reserve()
        self._logits: Callable[..., Tensor] = torch.compile(self._call_module) if compiled else self._call_module
        self.compose()

    def _reserve(self) -> None:
        """Allocate the memory that every step uses again."""
        dense, learns = self.free is None, self.learns != "nothing"
        self._free_effective = self.effective if dense else torch.empty_like(self.free_weights, dtype=self.effective.dtype)
        self._upper_halves = torch.empty_like(self.mask, dtype=torch.int16)  # of the scores
        self._negated_mask = torch.empty_like(self.mask, dtype=torch.int8)
        self._gradient = torch.empty_like(self.source.weights) if learns else None
        self._free_gradient = torch.empty_like(self.free_weights) if learns and not dense else None
        self._signs = torch.empty_like(self.free_weights) if self.learns == "scores" else None

    def keep_for(self, sparsity: float, within: Sequence[int] | None = None) -> list[int]:
        """Compute how many free edges a ticket of some sparsity keeps: N - round(sN) less the locked ones.

        At an end of the feasible range the three roundings may disagree by one edge; then all or none are kept.

        Args:
            sparsity: share of all N edges that are zero, in [0, 1].
            within: an earlier result, where no layer may keep more than then.

        Returns:
            One number for all layers together (global selection), or one for each layer (local selection).
        """
        locked = int(self.budget.locked.sum())
        kept_free = self.source.size - round(sparsity * self.source.size) - locked
        kept_free = min(max(kept_free, 0), self.free_weights.numel())
        return [kept_free] if self.selection == "global" else even_density(self.budget, locked + kept_free, within).tolist()

    def select(self, keep: Sequence[int]) -> Tensor:
        """Select the edges that the mask keeps, and compose the effective weights. Trained weights are all kept.

        Args:
            keep: the result of `keep_for`.

        Returns:
            The mask, bool[N_free], overwritten by the next selection.

        Raises:
            Diverged: a score is NaN or infinite.
        """
        if self.learns != "weights":
            stops = [self.mask.numel()] if self.selection == "global" else self.free_stops
            start = 0
            for stop, count in zip(stops, keep, strict=True):
                keep_largest(self.learned[start:stop], count, self.mask[start:stop], self._upper_halves[start:stop])
                start = stop
        self.compose()
        return self.mask

    def forward(self, images: Tensor) -> Tensor:
        """Compute the logits of images; call `select` after every change of the learned values.

        Args:
            images: [batch, 3, size, size], normalised.

        Returns:
            float32[batch, classes].
        """
        views = _EffectiveWeights.apply(self.learned, self)  # type: ignore[no-untyped-call]
        weights = {layer.name: view for layer, view in zip(self.source.layers, views, strict=True)}
        return self._logits(weights, images.to(self.effective.dtype)).float()

    def _call_module(self, weights: dict[str, Tensor], images: Tensor) -> Tensor:
        logits: Tensor = functional_call(self.module, weights, (images,))
        return logits

    def layer_counts(self) -> list[Counts]:
        """Count the edges of every layer under the present mask."""
        counts, start, budget = [], 0, self.budget
        columns = (budget.sizes.tolist(), budget.pruned.tolist(), budget.locked.tolist(), self.free_stops)
        for total, pruned, locked, stop in zip(*columns, strict=True):
            counts.append(Counts(total, pruned, locked, int(torch.count_nonzero(self.mask[start:stop]))))
            start = stop
        return counts

    def counts(self) -> Counts:
        """Count the edges of the whole network under the present mask."""
        budget, kept = self.budget, int(torch.count_nonzero(self.mask))
        return Counts(self.source.size, int(budget.pruned.sum()), int(budget.locked.sum()), kept)

    @torch.no_grad()
    def compose(self) -> None:
        """Compose the effective weights: weights * mask * scale, with locked weights kept and pruned ones zero."""
        if self.learns == "weights":
            self._free_effective.copy_(self.learned)
        else:  # times 0 or 1, as a bitwise and with 0 or -1: a fraction of a multiplication's passes
            all_bits = torch.neg(self.mask.view(torch.int8), out=self._negated_mask)
            torch.bitwise_and(self._free_bits, all_bits, out=_bits(self._free_effective))
        if self.free is not None:
            if self.scale != "none":  # an earlier factor is still in them
                self.effective.scatter_(0, self._locked, self._locked_weights)
            self.effective.scatter_(0, self.free, self._free_effective)
        if self.scale != "none":
            self.scales = layer_scales(self.scale, self.layer_counts())
            for layer, factor in zip(self.source.layers, self.scales, strict=True):
                self.effective[layer.start : layer.stop].mul_(factor)

    def plain_module(self) -> nn.Module:
        """Give the architecture the effective weights as its parameters, in evaluation mode; this network shares the module."""
        for layer in self.source.layers:
            owner = self.module.get_submodule(layer.name.removesuffix(".weight"))
            owner.weight = nn.Parameter(layer.view(self.effective).clone(), requires_grad=False)
        return self.module.eval()

    @torch.no_grad()
    def take_gradient(self, gradients: Sequence[Tensor]) -> None:
        """Turn the gradients of the effective weights into that of the learned values (law 3), in `learned.grad`.

        The gradient of a score is the gradient of its effective weight times weight * scale * sign(score), which is 0
        for a score of 0; trained weights get theirs times scale.

        Args:
            gradients: of each layer, in the shape of its weight.
        """
        assert self._gradient is not None
        assert self.learned.grad is None, "one backward pass a step: the gradient's memory is reused"
        for layer, gradient, factor in zip(self.source.layers, gradients, self.scales, strict=True):
            layer_gradient = layer.view(self._gradient)
            layer_gradient.copy_(gradient)
            if factor != 1.0:
                layer_gradient.mul_(factor)
        free_gradient = self._gradient
        if self.free is not None and self._free_gradient is not None:
            free_gradient = torch.index_select(self._gradient, 0, self.free, out=self._free_gradient)
        if self._signs is not None:
            free_gradient.mul_(self.free_weights).mul_(torch.sign(self.learned, out=self._signs))
        self.learned.grad = free_gradient


def _bits(values: Tensor) -> Tensor:
    """View the memory of floating-point values as integers of their width."""
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
