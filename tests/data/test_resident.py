"""Images that lie on the device: the batches are those of the loader that reads them again for every epoch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from slt_bench.data.loader import Loader
from slt_bench.data.resident import ResidentLoader, resident_if_possible
from tests.toys_images import DIGITS

CROPS = DIGITS.model_copy(update={"crop_padding": 2, "flip": True})


@pytest.mark.parametrize("indices", [None, np.arange(1, 900, 3)])
@pytest.mark.parametrize(("rank", "world_size"), [(0, 1), (1, 2)])
def test_training_batches_are_the_same_bytes(
    digits_directory: Path, indices: NDArray[np.int64] | None, rank: int, world_size: int
) -> None:
    arguments = (digits_directory / "train.beton", CROPS, 64, 3, 1, indices, (rank, world_size))
    reading, resident = Loader(*arguments), ResidentLoader(Loader(*arguments))
    for epoch, first in ((0, 0), (5, 2)):
        pairs = list(zip(reading.epoch(epoch, first), resident.epoch(epoch, first), strict=True))
        assert pairs
        for (images, labels), (there, labels_there) in pairs:
            assert torch.equal(images, there) and torch.equal(labels, labels_there) and images.stride() == there.stride()


def test_an_evaluation_sees_every_image_once_in_order(digits_directory: Path) -> None:
    reading = Loader(digits_directory / "test.beton", CROPS, 100)
    resident = ResidentLoader(reading)
    for (images, labels), (there, labels_there) in zip(reading.epoch(), resident.epoch(), strict=True):
        assert torch.equal(images, there) and torch.equal(labels, labels_there)


def test_the_size_is_known_before_anything_is_copied(digits_directory: Path) -> None:
    loader = ResidentLoader(Loader(digits_directory / "train.beton", CROPS, 64, 3))
    assert loader.bytes_of_pixels == loader._pixels.nbytes == 1438 * 12 * 12 * 3


def test_a_cpu_reads_images_again_for_every_epoch(digits_directory: Path) -> None:
    """On a CPU that is as fast, and takes no memory."""
    loader = Loader(digits_directory / "test.beton", DIGITS, 100)
    assert resident_if_possible(loader) is loader and type(loader) is Loader
