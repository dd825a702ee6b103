"""Random crops and flips of training images, drawn by hashing (key of the epoch, number of the image).

An image's draws depend on these two numbers alone: not on batch size, threads or processes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from slt_bench.common.compiled import compiled

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # the increment of SplitMix64 (Steele et al. 2014)
_TRIES = 10
_FLIP = 63  # position of the flip in an image's sequence, behind the four draws of each try


@compiled
def _mix(x: np.uint64) -> np.uint64:
    """Apply the finaliser of SplitMix64 (Steele et al. 2014): a bijection that scatters neighbouring inputs."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@compiled
def sequence_start(key: Any, image: Any) -> np.uint64:
    """Draw 64 random bits for one image in one epoch, which also start the image's sequence of `uniform` values.

    Args:
        key: uint64, of the epoch.
        image: number of the image in its file.

    Returns:
        64 random bits.
    """
    return _mix(_mix(np.uint64(image) + _GOLDEN) ^ key)


@compiled
def uniform(start: Any, position: int, low: float, high: float) -> float:
    """Draw one value of an image's sequence, uniform between two bounds.

    Args:
        start: uint64, from `sequence_start`.
        position: which value of the sequence, from 0.
        low: the least possible value.
        high: the bound that is not reached.

    Returns:
        A value in [low, high).
    """
    bits = _mix(start + np.uint64(position + 1) * _GOLDEN) >> np.uint64(11)
    return low + (high - low) * (np.float64(bits) * 2.0**-53)


@compiled
def padded_crop_and_flip(start: Any, padding: int, flip: bool) -> tuple[Any, Any, Any]:
    """Draw a crop of an image that was padded on all sides, of the image's own size, and a horizontal flip.

    Args:
        start: uint64, from `sequence_start`; the draws are taken from its bits.
        padding: pixels on each side.
        flip: whether images are flipped at all.

    Returns:
        Top and left of the crop in the image before padding, int64 each, from -padding to padding; and whether it is mirrored.
    """
    positions = np.uint64(2 * padding + 1)
    top = np.int64((start & np.uint64(0xFFFF)) % positions) - padding
    left = np.int64(((start >> np.uint64(16)) & np.uint64(0xFFFF)) % positions) - padding
    return top, left, flip and (start >> np.uint64(63)) == np.uint64(1)


@compiled
def draw_crops(key: Any, images: Any, padding: int, flip: bool) -> tuple[Any, Any, Any]:
    """Draw the padded crops and flips of many images, for whoever crops them elsewhere.

    Args:
        key: uint64, of the epoch.
        images: int64[n], numbers of images in their file.
        padding: pixels on each side.
        flip: whether images are flipped at all.

    Returns:
        Top and left of each crop in the padded image, int64[n] each, and whether it is mirrored, bool[n].
    """
    top, left = np.empty(images.size, np.int64), np.empty(images.size, np.int64)
    mirrored = np.empty(images.size, np.bool_)
    for n in range(images.size):
        start = sequence_start(key, images[n])
        top[n], left[n], mirrored[n] = padded_crop_and_flip(start, padding, flip)
        top[n] += padding
        left[n] += padding
    return top, left, mirrored


@compiled
def resized_flip(start: Any) -> bool:
    """Draw whether a random resized crop is mirrored, from the image's `sequence_start`."""
    return uniform(start, _FLIP, 0.0, 1.0) < 0.5


@compiled
def random_crop_box(start: Any, height: int, width: int, smallest: float, largest: float) -> tuple[int, int, int, int]:
    """Draw the box of a random resized crop, as torchvision's `RandomResizedCrop.get_params` does.

    The box has an aspect ratio between 3/4 and 4/3. Where ten tries give none inside the image, the box is the largest
    central one of an allowed aspect ratio.

    Args:
        start: uint64, from `sequence_start`.
        height: of the image, in pixels.
        width: of the image, in pixels.
        smallest: least area of the box, as a share of the image's, in (0, 1].
        largest: largest such share.

    Returns:
        Top, left, height and width of the box, in pixels.
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
