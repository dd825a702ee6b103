"""ResNets as torchvision builds them, for 32-pixel images too."""

from __future__ import annotations

from typing import Any

from torch import nn
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

# kind -> class of block, number of blocks in each stage, width of a group at 64 planes (torchvision's `width_per_group`)
_KINDS: dict[str, tuple[Any, list[int], int]] = {
    "resnet18": (BasicBlock, [2, 2, 2, 2], 64),
    "resnet34": (BasicBlock, [3, 4, 6, 3], 64),
    "resnet50": (Bottleneck, [3, 4, 6, 3], 64),
    "resnet101": (Bottleneck, [3, 4, 23, 3], 64),
    "wide_resnet50_2": (Bottleneck, [3, 4, 6, 3], 128),
}


def resnet(kind: str, stem: str, width: float, classes: int) -> ResNet:
    """Build a ResNet without biases, its batch norms without affine parameters.

    Args:
        kind: `resnet18`, `resnet34`, `resnet50`, `resnet101` or `wide_resnet50_2`.
        stem: `imagenet` is torchvision's own; `cifar` a 3x3 convolution with stride 1 and no max-pooling.
        width: factor on the number of channels, above 0.
        classes: number of outputs.

    Returns:
        An instance of torchvision's own class, so that files of it need nothing of this package.
    """
    block, blocks, group = _KINDS[kind]

    def scaled(channels: int) -> int:
        return max(1, round(channels * width))

    class Scaled(ResNet):  # type: ignore[misc]  # torchvision is untyped
        def _make_layer(self, block: Any, planes: int, *args: Any, **kwargs: Any) -> nn.Sequential:
            if planes == 64:  # the first stage: torchvision fixes the stem's channels in its constructor
                self.inplanes = scaled(64)
            return super()._make_layer(block, scaled(planes), *args, **kwargs)

    module: Any = Scaled(block, blocks, num_classes=classes, width_per_group=group)
    module.__class__ = ResNet  # only its construction differs
    if stem == "cifar":
        module.conv1 = nn.Conv2d(3, scaled(64), 3, padding=1, bias=False)
        module.maxpool = nn.Identity()
    else:
        module.conv1 = nn.Conv2d(3, scaled(64), 7, stride=2, padding=3, bias=False)
    module.bn1 = nn.BatchNorm2d(scaled(64))
    module.fc = nn.Linear(scaled(512) * block.expansion, classes, bias=False)
    _drop_affine(module)
    return module


def _drop_affine(module: nn.Module) -> None:
    """Replace every batch norm by one without affine parameters (torchvision's constructor needs them to fill them)."""
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            setattr(module, name, nn.BatchNorm2d(child.num_features, affine=False))
        _drop_affine(child)
