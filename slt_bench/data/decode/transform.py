"""The transform from stored images to what a network sees: decode, crop, resize, flip."""

from __future__ import annotations

from pathlib import Path
from threading import local
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slt_bench.common.errors import BenchError
from slt_bench.data.beton import JPG, BetonFile
from slt_bench.data.decode.batch import Memory, Resizing, Settings, Stored, fill_batch
from slt_bench.data.decode.jpeg import MCU, check_library
from slt_bench.params.datasets import View


class Transform:
    """The images of a .beton file as a network sees them; several threads may use it at once.

    Args:
        path: the file.
        view: size, crops and flips. Its normalisation is left to the loader.
        training: use random crops and flips instead of a centre crop.

    Attributes:
        labels: int64[n], the class of each image in the file.
        shape: of an image as a network sees it: height, width and 3.

    Raises:
        BenchError: the file is damaged, holds images of many sizes and the view has no resolution, or JPEGs that no library
            here decodes.
    """

    def __init__(self, path: Path, view: View, training: bool) -> None:
        file, self._path, self._local = BetonFile(path), path, local()
        if (file.modes == JPG).any():
            check_library()
        heights, widths, self.labels = file.heights, file.widths, file.labels
        if view.resolution is None and (len(np.unique(heights)) > 1 or len(np.unique(widths)) > 1):
            raise BenchError(f"{path} holds pictures of many sizes: give its dataset a resolution and a resize")
        self._stored = Stored(file.content, file.begins, file.sizes, file.modes, heights, widths)
        side = view.resolution or 0
        self.shape = (side, side, 3) if side else (int(heights[0]), int(widths[0]), 3)
        padding, flip = (view.crop_padding, view.flip) if training else (0, False)
        self._settings = Settings(training, flip, padding)
        self._resizing = Resizing(side, view.resize or 0, *map(float, view.crop_area)) if side else None

    def batch(self, indices: NDArray[np.int64], key: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Make a batch of images.

        Args:
            indices: int64[b], numbers of images in the file.
            key: of the epoch; crops and flips depend on it and on an image's number alone.

        Returns:
            Images uint8[b, h, w, 3] and labels int64[b].

        Raises:
            BenchError: no image has such a number, or an image cannot be decoded.
        """
        out = np.empty((len(indices), *self.shape), np.uint8)
        key_bits, memory = np.uint64(key & (2**64 - 1)), self._memory()
        bad = fill_batch(self._stored, indices, self._settings, self._resizing, key_bits, out, memory)
        if bad >= 0:
            (image,) = self.check_indices(indices[bad : bad + 1])
            raise BenchError(
                f"image {image} in {self._path} cannot be decoded: delete the file, then prepare its dataset again"
            )
        return out, self.labels[indices]

    def check_indices(self, indices: NDArray[Any]) -> NDArray[np.int64]:
        """Return numbers of images as int64[n], once they are known to be numbers of images in this file.

        Raises:
            BenchError: they are no list of integers, or no image has one of them.
        """
        if indices.ndim != 1 or (indices.size and indices.dtype.kind not in "iu"):
            raise BenchError(f"numbers of images in {self._path} are a list of integers, not {indices.dtype} {indices.shape}")
        if indices.size and not 0 <= indices.min() <= indices.max() < len(self.labels):
            wrong = indices[(indices < 0) | (indices >= len(self.labels))][0]
            raise BenchError(f"{self._path} has no image {wrong}: it has {len(self.labels)}, numbered from 0")
        return np.ascontiguousarray(indices, np.int64)

    def _memory(self) -> Memory:
        """Return the memory of the calling thread, large enough for any image of the file."""
        if not hasattr(self._local, "memory"):
            _, _, sizes, _, heights, widths = self._stored
            segments = int((-(-heights // MCU) * -(-widths // MCU)).max()) + 2
            self._local.memory = Memory(
                np.empty(int(sizes.max()) + 4096, np.uint8), np.empty(segments, np.int64),
                np.empty(int((heights * widths).max()) * 3, np.uint8), np.empty(3 * int(widths.max()) + 16, np.float32),
            )  # fmt: skip
        memory: Memory = self._local.memory
        return memory
