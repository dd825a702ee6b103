"""The images of a source as train and test, in memory or in files, and class-balanced choices among them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slt_bench.common import random
from slt_bench.common.random import Purpose
from slt_bench.common.rounding import round_to_total
from slt_bench.data.sources.pictures import Picture, decode


@dataclass(frozen=True)
class Arrays:
    """The images of a split in memory.

    Attributes:
        images: uint8[n, height, width, 3], RGB.
        labels: int64[n].
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        """Return an image: uint8[height, width, 3]."""
        return self.images[index]

    def take(self, indices: NDArray[np.int64]) -> Arrays:
        """Return some of the images, in the order of `indices`, int64[m]."""
        return Arrays(self.images[indices], self.labels[indices])


@dataclass(frozen=True)
class Files:
    """The images of a split in files, decoded when they are read.

    Attributes:
        pictures: the files.
        labels: int64[n].
        size: side in pixels of the square that images are fitted to; None to leave them in their own size.
    """

    pictures: list[Picture]
    labels: NDArray[np.int64]
    size: int | None = None

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        """Decode an image: uint8[height, width, 3]."""
        return decode(self.pictures[index], self.size)

    def take(self, indices: NDArray[np.int64]) -> Files:
        """Return some of the images, in the order of `indices`, int64[m]."""
        return Files([self.pictures[index] for index in indices], self.labels[indices], self.size)


Split = Arrays | Files


@dataclass(frozen=True)
class ImageSet:
    """All images of a source, before some of train are held out for validation.

    Attributes:
        train: the training images.
        test: the test images.
        classes: names of the classes; a label is a position in this list.
        origin: which release or folder this is, for a reader.
    """

    train: Split
    test: Split
    classes: list[str]
    origin: str


def balanced_indices(labels: NDArray[np.int64], count: int, seed: int, purpose: Purpose) -> NDArray[np.int64]:
    """Choose images at random so that every class has its share.

    Args:
        labels: int64[n].
        count: how many to choose, at most n; the classes' shares are rounded by largest remainder.
        seed: of the choice.
        purpose: of the choice; another purpose gives another choice.

    Returns:
        int64[count], rising positions in `labels`.
    """
    sizes = np.bincount(labels).astype(np.int64)
    quota = round_to_total(sizes.astype(np.float64) * (count / len(labels)), count, sizes)
    order, ends = np.argsort(labels, kind="stable"), np.cumsum(sizes)
    chosen = []
    for label, (size, share) in enumerate(zip(sizes, quota, strict=True)):
        members = order[ends[label] - size : ends[label]]
        chosen.append(members[random.permutation(seed, purpose, label, int(size))[:share]])
    return np.sort(np.concatenate(chosen))
