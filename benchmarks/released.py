"""A step of edge-popup in the way of the released codes, in words of our own: what one search step is compared with.

Every layer multiplies its weights by its mask, through which autograd finds the gradient of the scores; the threshold comes
from a sort of all scores after each step; weights and images lie as torch lays them out by default.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, cross_entropy, linear

from benchmarks.steps import DEVICE, Case
from slt_bench.networks.source import initial_scores


class _Mask(torch.autograd.Function):
    @staticmethod
    def forward(_ctx: Any, magnitudes: Tensor, threshold: Tensor) -> Tensor:
        return (magnitudes >= threshold).float()

    @staticmethod
    def backward(_ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0], None


class _Masked(nn.Module):
    def __init__(self, plain: nn.Module, weight: Tensor, scores: Tensor) -> None:
        super().__init__()
        self.plain = [plain]  # in a list, so that it is no submodule
        self.weight, self.scores = weight, nn.Parameter(scores)
        self.threshold = torch.zeros((), device=weight.device)

    def forward(self, inputs: Tensor) -> Tensor:
        weight = self.weight * _Mask.apply(self.scores.abs(), self.threshold)  # type: ignore[no-untyped-call]
        plain = self.plain[0]
        if isinstance(plain, nn.Conv2d):
            return conv2d(inputs, weight, None, plain.stride, plain.padding)
        return linear(inputs, weight)


def released_step(case: Case) -> Callable[[], None]:
    """A step at sparsity 0.5 in a dense source, float32."""
    module, source = case.build()
    scores, layers = initial_scores(source, 0, "kaiming_normal", 0), []
    for layer in source.layers:
        parent, _, name = layer.name.removesuffix(".weight").rpartition(".")
        owner = module.get_submodule(parent)
        weight, score = (layer.view(vector).contiguous().clone().to(DEVICE) for vector in (source.weights, scores))
        layers.append(_Masked(getattr(owner, name), weight, score))
        setattr(owner, name, layers[-1])
    module = module.to(DEVICE).train()
    optimizer = torch.optim.SGD([layer.scores for layer in layers], lr=0.01, momentum=0.9, weight_decay=1e-4)
    images, labels = case.data()
    images = images.contiguous()

    @torch.no_grad()
    def select() -> None:
        ordered = torch.cat([layer.scores.abs().flatten() for layer in layers]).sort().values
        for layer in layers:
            layer.threshold = ordered[len(ordered) // 2]

    def step() -> None:
        optimizer.zero_grad()
        cross_entropy(module(images), labels).backward()
        optimizer.step()
        select()

    select()
    return step
