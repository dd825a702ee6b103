"""Edge-popup as the papers describe it, naive and independent: masked layers, a full sort, one layer at a time.

Nothing here is shared with the engine but the numbers: weights, roles, scores and batches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, cross_entropy, linear

FREE, PRUNED, LOCKED = 0, 1, 2


class Supermask(torch.autograd.Function):
    """The mask forwards, the identity backwards: the straight-through estimator (Ramanujan et al. 2020, section 3.1)."""

    @staticmethod
    def forward(_ctx: Any, magnitude: Tensor, mask: Tensor) -> Tensor:
        return mask.to(magnitude.dtype)

    @staticmethod
    def backward(_ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient, None


class Masked(nn.Module):
    """A convolution or linear layer whose weights are fixed and whose scores are learned, one for every edge."""

    def __init__(self, plain: nn.Conv2d | nn.Linear, weight: Tensor, roles: Tensor, scores: Tensor) -> None:
        super().__init__()
        self.plain, self.weight, self.roles = [plain], weight, roles  # in a list: not a submodule
        self.scores = nn.Parameter(scores.clone())
        self.mask = torch.ones_like(weight, dtype=torch.bool)
        self.scale = 1.0

    def ranked(self) -> Tensor:
        """Magnitudes that decide what is kept: pruned edges last, locked ones first."""
        magnitude = self.scores.detach().abs()
        magnitude = torch.where(self.roles == PRUNED, -torch.inf, magnitude)
        return torch.where(self.roles == LOCKED, torch.inf, magnitude).flatten()

    def forward(self, inputs: Tensor) -> Tensor:
        masked: Callable[[Tensor, Tensor], Tensor] = Supermask.apply
        weight = self.weight * masked(self.scores.abs(), self.mask) * self.scale
        plain = self.plain[0]
        if isinstance(plain, nn.Linear):
            return linear(inputs, weight)
        return conv2d(inputs, weight, None, plain.stride, plain.padding)


class NaiveEdgePopup:
    """The whole search.

    Args:
        module: a plain network; its convolutions and linear layers are replaced.
        weights: of each such layer, in module order, in the shape of the layer.
        roles: as the weights: FREE, PRUNED or LOCKED.
        scores: as the weights.
        keep: edges to keep: one number for all layers together, or one for each layer.
        scale: none, static or dynamic.
    """

    def __init__(
        self, module: nn.Module, weights: list[Tensor], roles: list[Tensor], scores: list[Tensor], keep: list[int], scale: str
    ) -> None:
        numbers = iter(zip(weights, roles, scores, strict=True))
        self.layers = list(replace_layers(module, numbers))
        self.module, self.keep, self.scale = module.train(), keep, scale
        parameters = [layer.scores for layer in self.layers]
        self.optimizer = torch.optim.SGD(parameters, lr=0.0, momentum=0.9, weight_decay=1e-4, foreach=False)
        self.select()

    def select(self) -> None:
        """Keep the largest by a full sort, over all layers or in each; then rescale."""
        if len(self.keep) == 1:
            ranked = torch.cat([layer.ranked() for layer in self.layers])
            kept = torch.zeros_like(ranked, dtype=torch.bool)
            kept[torch.sort(ranked, descending=True, stable=True).indices[: self.keep[0]]] = True
            masks = list(kept.split([layer.mask.numel() for layer in self.layers]))
        else:
            masks = []
            for layer, count in zip(self.layers, self.keep, strict=True):
                ranked = layer.ranked()
                masks.append(torch.zeros_like(ranked, dtype=torch.bool))
                masks[-1][torch.sort(ranked, descending=True, stable=True).indices[:count]] = True
        density = sum(int(mask.sum()) for mask in masks) / sum(mask.numel() for mask in masks)
        for layer, mask in zip(self.layers, masks, strict=True):
            layer.mask = mask.view_as(layer.mask)
            if self.scale == "static":
                layer.scale = density**-0.5
            if self.scale == "dynamic":
                layer.scale = (int(mask.sum()) / mask.numel()) ** -0.5 if mask.any() else 0.0

    def step(self, images: Tensor, labels: Tensor, rate: float) -> None:
        """One step of stochastic gradient descent on the scores."""
        self.optimizer.zero_grad()
        cross_entropy(self.module(images), labels).backward()
        for layer in self.layers:
            assert layer.scores.grad is not None
            layer.scores.grad[layer.roles != FREE] = 0  # frozen edges learn nothing
        self.optimizer.param_groups[0]["lr"] = rate
        self.optimizer.step()
        self.select()


def replace_layers(module: nn.Module, numbers: Iterator[tuple[Tensor, Tensor, Tensor]]) -> Iterator[Masked]:
    """Put a masked layer in place of each convolution and linear layer; yields the masked layers."""
    for name, child in module.named_children():
        if isinstance(child, nn.Conv2d | nn.Linear):
            masked = Masked(child, *next(numbers))
            setattr(module, name, masked)
            yield masked
        else:
            yield from replace_layers(child, numbers)
