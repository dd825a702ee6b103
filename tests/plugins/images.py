"""Sources of images as somebody would write them: one that can be used, and one that gives what it is told to."""

from __future__ import annotations

from typing import Any

import numpy as np

from slt_bench.data.sources.splits import Arrays, ImageSet
from slt_bench.params.datasets import Images

CHANGES: dict[str, Any] = {}  # what `odd` replaces


def tiles(images: Images) -> ImageSet:
    """Squares whose brightness tells the class."""
    count, classes = images.options["count"], 4
    assert isinstance(count, int)
    labels = np.arange(count, dtype=np.int64) % classes
    noise = np.random.default_rng(0).integers(0, 40, (count, 8, 8, 3))
    pixels = (labels[:, None, None, None] * 60 + noise).astype(np.uint8)
    return ImageSet(Arrays(pixels, labels), Arrays(pixels[:20], labels[:20]), list("abcd"), "tiles")


def odd(images: Images) -> Any:
    pixels, labels = np.zeros((4, 8, 8, 3), np.uint8), np.arange(4)
    parts: dict[str, Any] = {"images": pixels, "labels": labels, "classes": list("abcd")} | CHANGES
    if "whole" in parts:
        return parts["whole"]
    return ImageSet(Arrays(pixels, labels), Arrays(parts["images"], parts["labels"]), parts["classes"], "odd")


def failing(images: Images) -> ImageSet:
    raise OSError("the disk is away")
