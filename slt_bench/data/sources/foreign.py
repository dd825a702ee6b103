"""Sources of anybody's: a function (images: Images) -> ImageSet, and the checks of what it gives.

It may use `images.options`, `path` and `size`; the files that it reads are its own affair. Images are squares or rectangles of
one size, as `Arrays`, or as `Files` with a size. Of `Images` all that is about splits and storing works as for our sources.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from slt_bench.common.errors import BenchError
from slt_bench.common.plugins import resolve
from slt_bench.data.sources.pictures import Picture
from slt_bench.data.sources.splits import Arrays, Files, ImageSet
from slt_bench.params.datasets import Images


def foreign_images(images: Images) -> ImageSet:
    """Call a source of somebody's own, and check what it gives.

    Args:
        images: whose source is an import path.

    Returns:
        Train and test images.

    Raises:
        BenchError: it fails, or gives something else; the message names the source.
    """
    try:
        found = resolve(images.source, {})(images)
    except BenchError:
        raise
    except Exception as error:  # whatever a foreign function does
        raise BenchError(f"images of {images.source}: {type(error).__name__}: {error}") from error
    if reason := _fault(found, images.size):
        raise BenchError(f"images of {images.source}: {reason}")
    return found


def _fault(found: Any, size: int | None) -> str:
    """Say what is wrong with an image set; empty if nothing is."""
    if not isinstance(found, ImageSet):
        return f"an ImageSet is needed, not a {type(found).__name__}"
    classes = found.classes
    if not isinstance(classes, list) or not all(isinstance(name, str) and name for name in classes) or not classes:
        return "classes is no list of names"
    if len(set(classes)) != len(classes):
        return "a class has the name of another"
    if not isinstance(found.origin, str):
        return f"origin is a {type(found.origin).__name__}, and no text"
    for name, split in (("train", found.train), ("test", found.test)):
        if reason := _fault_of_split(split, len(classes), size):
            return f"{name}: {reason}"
    return ""


def _fault_of_split(split: Any, classes: int, size: int | None) -> str:
    if isinstance(split, Arrays):
        if reason := _fault_of_pixels(split.images, size):
            return reason
        count = len(split.images)
    elif isinstance(split, Files):
        if not isinstance(split.pictures, list) or not all(isinstance(picture, Picture) for picture in split.pictures):
            return "pictures is no list of Picture"
        if not isinstance(split.size, int) or (size is not None and split.size != size):
            return f"its files have the size {split.size} instead of {size or 'a number of pixels'}"
        count = len(split.pictures)
    else:
        return f"Arrays or Files are needed, not a {type(split).__name__}"
    labels: Any = split.labels
    if not isinstance(labels, np.ndarray) or labels.dtype != np.int64 or labels.ndim != 1:
        return "labels are no int64[n]"
    if len(labels) != count or not count:
        return f"there are {count} images and {len(labels)} labels"
    if labels.min() < 0 or labels.max() >= classes:
        return f"labels go from {labels.min()} to {labels.max()}, there are {classes} classes"
    return ""


def _fault_of_pixels(pixels: Any, size: int | None) -> str:
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8:
        return f"images are no uint8 array, but {getattr(pixels, 'dtype', type(pixels).__name__)}"
    if pixels.ndim != 4 or pixels.shape[3] != 3 or 0 in pixels.shape[1:]:
        return f"images have shape {list(pixels.shape)} instead of [n, height, width, 3]"
    if size is not None and pixels.shape[1:3] != (size, size):
        return f"images have {pixels.shape[2]} x {pixels.shape[1]} pixels instead of {size} x {size}"
    return ""
