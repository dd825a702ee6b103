"""torchvision's ResNets for 32-pixel images."""

from __future__ import annotations

from typing import Any

from torch import nn
from torchvision.models.resnet import BasicBlock, ResNet

_BLOCKS = {"resnet18": [2, 2, 2, 2], "resnet34": [3, 4, 6, 3]}


class CifarResNet(ResNet):  # type: ignore[misc]  # torchvision is untyped
    """ResNet-18 or -34 as used for CIFAR: 3x3 stem with stride 1, no max-pooling, no biases, non-affine batch norm.

    Args:
        kind: `resnet18` or `resnet34`.
        width: factor on the number of channels.
        classes: number of outputs.
    """

    def __init__(self, kind: str, width: float, classes: int) -> None:
        self.width = width
        super().__init__(BasicBlock, _BLOCKS[kind], num_classes=classes)
        self.conv1 = nn.Conv2d(3, self._scaled(64), 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(self._scaled(64))
        self.maxpool = nn.Identity()
        self.fc = nn.Linear(self._scaled(512), classes, bias=False)
        _drop_affine(self)

    def _scaled(self, channels: int) -> int:
        return max(1, round(channels * self.width))

    def _make_layer(self, block: Any, planes: int, *args: Any, **kwargs: Any) -> nn.Sequential:
        if planes == 64:  # the first stage: torchvision fixes the stem's channels in its constructor
            self.inplanes = self._scaled(64)
        return super()._make_layer(block, self._scaled(planes), *args, **kwargs)


def _drop_affine(module: nn.Module) -> None:
    """Replace every batch norm by one without affine parameters (torchvision's constructor needs them to fill them)."""
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            setattr(module, name, nn.BatchNorm2d(child.num_features, affine=False))
        _drop_affine(child)
