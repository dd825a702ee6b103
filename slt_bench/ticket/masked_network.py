"""The network under a mask: free weights and mask -> effective weights -> logits, each over one flat vector of all edges."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from slt_bench.compute.passes import are_compiled, run
from slt_bench.compute.precision import put
from slt_bench.networks.roles import FREE, LOCKED
from slt_bench.networks.source import SourceNetwork
from slt_bench.params.recipes import Scale
from slt_bench.ticket.counts import Counts
from slt_bench.ticket.scales import layer_scales


class MaskedNetwork(nn.Module):
    """A source network with a mask over its free edges.

    The plain module sees views of the effective weights, which `compose` writes; everything else is a few passes over
    flat vectors, into memory that is reused (docs/performance.md). Who finds the mask, and by which rule, is not known here.
    """

    def __init__(
        self,
        module: nn.Module,
        source: SourceNetwork,
        scale: Scale,
        dtype: torch.dtype = torch.float32,
        compiled: bool = False,
        with_gradient: bool = False,
    ) -> None:
        """Allocate the memory of all steps, and compose the effective weights under a mask that keeps every free edge.

        Args:
            module: the architecture, its parameters unused.
            source: weights and roles; they are only read.
            scale: of the effective weights (law 4).
            dtype: of the effective weights, and with them of the forward and backward pass.
            compiled: whether the forward and backward pass go through torch.compile.
            with_gradient: whether logits can be differentiated; the gradient is then at `collect_gradient`.
        """
        super().__init__()
        self.module, self.source, self.scale = module, source, scale
        self.budget, self._is_searched = source.budget, with_gradient
        free = torch.nonzero(source.roles == FREE).squeeze(1)
        self.free = None if free.numel() == source.size else free  # no index where every edge is free
        self.free_weights = source.weights if self.free is None else source.weights.index_select(0, self.free)
        self.free_stops: list[int] = self.budget.free.cumsum().tolist()
        self.mask = torch.ones_like(self.free_weights, dtype=torch.bool)
        self.effective = torch.zeros_like(source.weights, dtype=dtype)  # as pruned edges stay
        self._free_bits = _bits(self.free_weights.to(dtype))
        self._locked = torch.nonzero(source.roles == LOCKED).squeeze(1)
        self._locked_weights = source.weights[self._locked].to(dtype)
        put(self._locked_weights, self._locked, into=self.effective)
        self._reserve(with_gradient)
        # No method of this network: it would hold itself, and with it the memory of all its vectors.
        self._logits: Callable[..., Tensor] = _compiled() if compiled else _call
        self.compose()

    def _reserve(self, with_gradient: bool) -> None:
        """Allocate the memory that every step uses again."""
        dense = self.free is None
        self._free_effective = self.effective if dense else torch.empty_like(self.free_weights, dtype=self.effective.dtype)
        self._collectable: Tensor | None = None
        device = self.mask.device
        self._sizes, self._locked_counts, self._free_counts = (
            torch.from_numpy(counts).to(device) for counts in (self.budget.sizes, self.budget.locked, self.budget.free)
        )
        self._scales = torch.ones(len(self.source.layers), device=device)
        self._anchor = self.source.weights.new_zeros((), requires_grad=with_gradient)  # ties the logits to the backward pass

    def forward(self, images: Tensor) -> Tensor:
        """Compute the logits of images; call `compose` after every change of mask or weights.

        Args:
            images: [batch, 3, size, size], normalised.

        Returns:
            float32[batch, classes].
        """
        return self._through(self._logits, images)

    def without_compiling(self, images: Tensor) -> Tensor:
        """Compute the logits as `forward` does, but not by a compiled graph, where a setting changes with every batch.

        Each value of such a setting would be compiled anew, and after eight nothing would be, the next training neither.
        """
        return self._through(_call, images)

    def _through(self, logits: Callable[..., Tensor], images: Tensor) -> Tensor:
        views = _EffectiveWeights.apply(self._anchor, self)  # type: ignore[no-untyped-call]
        weights = {layer.name: view for layer, view in zip(self.source.layers, views, strict=True)}
        return logits(self.module, weights, images.to(self.effective.dtype)).float()

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
    def compose(self, free_weights: Tensor | None = None) -> None:
        """Compose the effective weights: free weights * mask * scale, with locked weights kept and pruned ones zero.

        Args:
            free_weights: float32[N_free], trained weights that take the place of free weights * mask; those of the source
                network under the mask if left out.
        """
        if free_weights is not None:
            self._free_effective.copy_(free_weights)
        else:
            self._keep_masked(self._free_bits, _bits(self._free_effective))
        if self.free is not None:
            if self.scale != "none":  # an earlier factor is still in them
                put(self._locked_weights, self._locked, into=self.effective)
            put(self._free_effective, self.free, into=self.effective)
        if self.scale != "none":
            self._scales.copy_(layer_scales(self.scale, self._kept(), self._sizes))
            for layer, factor in zip(self.source.layers, self._scales.unbind(), strict=True):
                scaled = self.effective[layer.start : layer.stop]
                scaled.copy_(scaled.float().mul_(factor)) if scaled.dtype != torch.float32 else scaled.mul_(factor)

    def _keep_masked(self, bits: Tensor, kept: Tensor) -> None:
        """Write the bits that the mask keeps, and zeros elsewhere; a ticket is composed once, and needs nothing compiled."""
        if self._is_searched and are_compiled(bits):
            from slt_bench.compute.pass_loops import keep_masked

            run(keep_masked, (bits, self.mask, kept))
        else:  # times 0 or 1, as a bitwise and with 0 or -1: a fraction of a multiplication's passes
            torch.bitwise_and(bits, self.mask.to(bits.dtype).neg_(), out=kept)

    def _kept(self) -> Tensor:
        """Count the edges of each layer that are kept, locked ones among them: int64[layers], on the device."""
        starts = [0, *self.free_stops[:-1]]
        kept = [torch.count_nonzero(self.mask[start:stop]) for start, stop in zip(starts, self.free_stops, strict=True)]
        return torch.stack(kept) + self._locked_counts

    def use_free_weights(self, free_weights: Tensor) -> None:
        """Use other free weights than those of the source network from now on; call `compose` afterwards.

        Args:
            free_weights: float32[N_free]; they are only read.
        """
        self.free_weights, self._free_bits = free_weights, _bits(free_weights.to(self.effective.dtype))

    def spread(self, of_layers: Tensor) -> Tensor:
        """Repeat a value of each layer for all of its free edges.

        Args:
            of_layers: [layers].

        Returns:
            [N_free].
        """
        return torch.repeat_interleave(of_layers, self._free_counts, output_size=self.mask.numel())

    def plain_module(self) -> nn.Module:
        """Give the architecture the effective weights as its parameters, in evaluation mode; this network shares the module."""
        for layer in self.source.layers:
            owner = self.module.get_submodule(layer.name.removesuffix(".weight"))
            owner.weight = nn.Parameter(layer.view(self.effective).clone(), requires_grad=False)
        return self.module.eval()

    @torch.no_grad()
    def _take_gradient(self, gradients: Sequence[Tensor]) -> None:
        """Turn the gradients by the effective weights into that by the free weights, for `collect_gradient`.

        The factor of a layer counts as a constant.

        Args:
            gradients: of each layer, in the shape of its weight.
        """
        assert self._collectable is None, "collect each gradient before the next backward pass"
        # Made anew: by now the memory of the activations is free, which the largest moment of a step needs.
        whole = torch.empty_like(self.source.weights)
        for layer, gradient, factor in zip(self.source.layers, gradients, self._scales.unbind(), strict=True):
            layer_gradient = layer.view(whole)
            layer_gradient.copy_(gradient)
            if self.scale != "none":
                layer_gradient.mul_(factor)
        self._collectable = whole if self.free is None else torch.index_select(whole, 0, self.free)

    def collect_gradient(self) -> Tensor:
        """Hand over what the last backward pass left: the gradient of the loss by each free weight * mask, before scaling.

        Returns:
            float32[N_free], dropped edges included; it is the caller's.
        """
        gradient, self._collectable = self._collectable, None
        assert gradient is not None, "there was no backward pass"
        return gradient


def _compiled() -> Callable[..., Tensor]:
    """Compile the call of a network, whatever this process has compiled before.

    Each shape has kernels of its own. Else a second shape makes all later ones dynamic, so that the bits of a search would
    depend on whether it was stopped in its validation; and after eight networks nothing would be compiled.
    """
    torch._dynamo.reset()
    return torch.compile(_call, dynamic=False)


def _call(module: nn.Module, weights: dict[str, Tensor], images: Tensor) -> Tensor:
    """Call a module with other weights than its own."""
    logits: Tensor = functional_call(module, weights, (images,))
    return logits


def _bits(values: Tensor) -> Tensor:
    """View the memory of floating-point values as integers of their width."""
    return values.view(torch.int32 if values.element_size() == 4 else torch.int16)


class _EffectiveWeights(torch.autograd.Function):
    """The effective weights, as one view per layer; their gradients go to the network, whose mask autograd does not see."""

    @staticmethod
    def forward(ctx: Any, _anchor: Tensor, network: MaskedNetwork) -> tuple[Tensor, ...]:
        ctx.network = network
        return tuple(layer.view(network.effective) for layer in network.source.layers)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, None]:
        ctx.network._take_gradient(gradients)
        return None, None
