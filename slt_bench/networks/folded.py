"""Folded ResNets: the blocks of a stage share one set of weights (Garcia-Arias et al. 2021, hidden-fold networks)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.resnet import ResNet

from slt_bench.networks.resnet import resnet


class FoldedBlocks(nn.Module):
    """Residual blocks that have the same convolutions: one set of weights, applied once a block.

    Each application has batch norms of its own ("unshared" ones, as the networks that are released have them). Its output is
    relu(x + convolutions(x)), a relu after each convolution but the last.

    Attributes:
        convolutions: of one block, which all have.
        norms: of each application, the batch norms behind its convolutions.
    """

    def __init__(self, convolutions: Sequence[nn.Conv2d], norms: Sequence[Sequence[nn.BatchNorm2d]]) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(convolutions)
        self.norms = nn.ModuleList(nn.ModuleList(of_application) for of_application in norms)

    def forward(self, features: Tensor) -> Tensor:
        """Apply the block as often as it has sets of batch norms; the shape [batch, channels, height, width] stays."""
        norms: Any
        for norms in self.norms:
            inner = features
            for index, (convolution, norm) in enumerate(zip(self.convolutions, norms, strict=True)):
                inner = norm(convolution(functional.relu(inner) if index else inner))
            features = functional.relu(features + inner)
        return features


def folded_resnet(kind: str, stem: str, width: float, classes: int, stages: Sequence[int]) -> ResNet:
    """Build a ResNet, some of its stages folded: a first block, and one that is applied for all others.

    With two blocks a stage (`folded_resnet18`) nothing is shared, and the network is the ResNet.

    Args:
        kind: `folded_` and a name of networks/resnet.py.
        stem: `imagenet` or `cifar`.
        width: factor on the number of channels, above 0.
        classes: number of outputs.
        stages: those to fold, from 1 to 4.

    Returns:
        torchvision's class, whose folded stages are a block of its own and `FoldedBlocks`.
    """
    module = resnet(kind.removeprefix("folded_"), stem, width, classes)
    for stage in stages:
        first, *others = getattr(module, f"layer{stage}")
        setattr(module, f"layer{stage}", nn.Sequential(first, _fold(others)))
    return module


def _fold(blocks: Sequence[Any]) -> FoldedBlocks:
    """Fold blocks of torchvision's, of one shape and without a projection: the convolutions are those of the first."""
    count = 3 if hasattr(blocks[0], "conv3") else 2
    convolutions = [getattr(blocks[0], f"conv{number}") for number in range(1, count + 1)]
    return FoldedBlocks(convolutions, [[getattr(block, f"bn{number}") for number in range(1, count + 1)] for block in blocks])
