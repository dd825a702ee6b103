"""Conv-2, -4, -6 and -8: the VGG-like networks of Ramanujan et al. 2020 (section 4.1) and Otsuka et al. 2025.

Theirs have no batch norm; with one after each convolution they are ours.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

_CHANNELS = (64, 128, 256, 512)
_HIDDEN = 256


def conv(depth: int, width: float, image_size: int, classes: int, batch_norm: bool) -> nn.Sequential:
    """Build a Conv-`depth`: 3x3 convolutions in pairs, each pair followed by 2x2 max-pooling, then three linear layers.

    Args:
        depth: number of convolutions: 2, 4, 6 or 8.
        width: factor on the number of channels and hidden units, above 0.
        image_size: height and width of the input in pixels, at least 2^(depth / 2).
        classes: number of outputs.
        batch_norm: whether each convolution is followed by a batch norm (without affine parameters).

    Returns:
        The parts `features`, `flatten` and `classifier` in sequence.
    """
    features: list[nn.Module] = []
    inputs = 3
    for channels in _CHANNELS[: depth // 2]:
        outputs = max(1, round(channels * width))
        for in_channels in (inputs, outputs):
            features.append(nn.Conv2d(in_channels, outputs, 3, padding=1, bias=False))
            if batch_norm:
                features.append(nn.BatchNorm2d(outputs, affine=False))
            features.append(nn.ReLU())
        features.append(nn.MaxPool2d(2))
        inputs = outputs
    hidden = max(1, round(_HIDDEN * width))
    pixels = (image_size >> (depth // 2)) ** 2
    classifier = nn.Sequential(
        nn.Linear(inputs * pixels, hidden, bias=False),
        nn.ReLU(),
        nn.Linear(hidden, hidden, bias=False),
        nn.ReLU(),
        nn.Linear(hidden, classes, bias=False),
    )
    parts: OrderedDict[str, nn.Module] = OrderedDict(
        features=nn.Sequential(*features), flatten=nn.Flatten(), classifier=classifier
    )
    return nn.Sequential(parts)
