"""Where training pictures are cropped: drawn by hashing (key of the epoch, image), so that nothing else can matter."""

from __future__ import annotations

from typing import Any

import numpy as np

from slt_bench.data.decode.compiled import compiled

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_TRIES = 10


@compiled
def mix(x: np.uint64) -> np.uint64:
    """The finaliser of SplitMix64 (Steele et al. 2014): a bijection that scatters neighbouring inputs."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@compiled
def draw(key: Any, image: Any) -> np.uint64:
    """64 random bits for one image in one epoch; the start of a sequence that `uniform` goes on with."""
    return mix(mix(np.uint64(image) + _GOLDEN) ^ key)


@compiled
def uniform(start: Any, number: int, low: float, high: float) -> float:
    """The `number`-th value of an image's sequence, in [low, high)."""
    bits = mix(start + np.uint64(number + 1) * _GOLDEN) >> np.uint64(11)
    return low + (high - low) * (np.float64(bits) * 2.0**-53)


@compiled
def random_box(start: Any, height: int, width: int, smallest: float, largest: float) -> tuple[int, int, int, int]:
    """Top, left, height and width of a random resized crop: torchvision's `RandomResizedCrop.get_params`.

    Its area is a share of the image's between `smallest` and `largest`, its aspect ratio between 3/4 and 4/3. Where ten
    tries give none inside the image, it is the largest central one of an allowed aspect.
    """
    narrow, wide = 3.0 / 4.0, 4.0 / 3.0
    for attempt in range(_TRIES):
        area = height * width * uniform(start, 4 * attempt, smallest, largest)
        aspect = np.exp(uniform(start, 4 * attempt + 1, np.log(narrow), np.log(wide)))
        w, h = int(np.rint(np.sqrt(area * aspect))), int(np.rint(np.sqrt(area / aspect)))
        if 0 < w <= width and 0 < h <= height:
            top = int(uniform(start, 4 * attempt + 2, 0.0, height - h + 1.0))
            left = int(uniform(start, 4 * attempt + 3, 0.0, width - w + 1.0))
            return min(top, height - h), min(left, width - w), h, w
    h, w = height, width
    if width < narrow * height:
        h = int(np.rint(width / narrow))
    elif width > wide * height:
        w = int(np.rint(height * wide))
    return (height - h) // 2, (width - w) // 2, h, w


@compiled
def shorter_side(height: int, width: int, side: int) -> tuple[int, int]:
    """Height and width after the shorter side was resized to `side`: torchvision's `Resize`."""
    if height <= width:
        return side, int(side * width / height)
    return int(side * height / width), side
