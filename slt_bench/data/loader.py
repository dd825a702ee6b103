"""Loaders: batches from a .beton file through ffcv, the same bytes for any number of workers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numba
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from slt_bench import streams
from slt_bench.data.ffcv_mended import AllocationQuery, IntDecoder, Operation, SimpleRGBImageDecoder
from slt_bench.data.ffcv_mended import Loader as FfcvLoader
from slt_bench.data.image_sources import Split
from slt_bench.params.images import View


class Loader:
    """Batches of one .beton file.

    Args:
        path: the file, verified before (`manifest.verify_file`).
        view: normalisation and augmentation; evaluation takes only the first.
        batch_size: images a batch.
        seed: of order and augmentation; None for evaluation, which sees every image once, in file order, as it is.
        workers: threads that decode; they do not change what comes out.
    """

    def __init__(self, path: Path, view: View, batch_size: int, seed: int | None = None, workers: int = 1) -> None:
        self.seed = seed
        self.training = seed is not None
        self._augment = _CropFlip(view.crop_padding, view.flip) if self.training else None
        image = [SimpleRGBImageDecoder(), *([self._augment] if self._augment else [])]
        self._ffcv = FfcvLoader(
            str(path),
            batch_size=batch_size,
            num_workers=workers,
            seed=0,  # unused: the order is ours
            drop_last=self.training,
            pipelines={"image": image, "label": [IntDecoder()]},
        )
        self.images = len(self._ffcv.indices)
        self._mean = torch.tensor(view.mean).view(1, 3, 1, 1) * 255
        self._inverse_std = 1 / (torch.tensor(view.std).view(1, 3, 1, 1) * 255)

    def __len__(self) -> int:
        """Batches in an epoch: training leaves out a last partial batch, evaluation never does."""
        return len(self._ffcv)

    def epoch(self, number: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches of float32[b, 3, h, w] (channels last) and int64[b]; order and augmentation depend on the epoch alone."""
        for images, labels in self.raw_epoch(number):
            pixels = torch.from_numpy(images).permute(0, 3, 1, 2).to(torch.float32)  # a copy: ffcv reuses its buffers
            yield pixels.sub_(self._mean).mul_(self._inverse_std), torch.from_numpy(labels[:, 0].copy())

    def raw_epoch(self, number: int = 0) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.int64]]]:
        """The same before normalisation: uint8[b, h, w, 3], int64[b, 1], overwritten by later batches."""
        if self.seed is not None and self._augment is not None:
            self._ffcv.traversal_order = _Order(streams.permutation(self.seed, "order", number, self.images))
            self._augment.key = np.uint64(streams.key(self.seed, "augmentation", number) & (2**64 - 1))
        yield from self._ffcv


def read_split(path: Path) -> Split:
    """A whole .beton file, in file order."""
    loader = FfcvLoader(
        str(path), batch_size=512, num_workers=1, seed=0, drop_last=False,
        pipelines={"image": [SimpleRGBImageDecoder()], "label": [IntDecoder()]},
    )  # fmt: skip
    batches = [(images.copy(), labels[:, 0].copy()) for images, labels in loader]
    return Split(np.concatenate([batch[0] for batch in batches]), np.concatenate([batch[1] for batch in batches]))


class _Order:
    """A traversal order that is given, not drawn."""

    def __init__(self, order: NDArray[np.int64]) -> None:
        self.order = order

    def sample_order(self, epoch: int) -> NDArray[np.int64]:
        return self.order


class _CropFlip(Operation):  # type: ignore[misc]
    """Random crop after zero-padding, and random horizontal flip, drawn by hashing (key of the epoch, image)."""

    def __init__(self, padding: int, flip: bool) -> None:
        super().__init__()
        self.padding, self.flip = padding, flip
        self.key = np.uint64(0)

    def generate_code(self) -> Callable[..., Any]:
        # Not compiled by ffcv, which would freeze the key of the first epoch into the code.
        def crop_flip(images: Any, output: Any, indices: Any) -> Any:
            output = output[: len(images)]
            _crop_flip(images, output, indices.astype(np.uint64), self.key, self.padding, self.flip)
            return output

        crop_flip.with_indices = True  # type: ignore[attr-defined]
        return crop_flip

    def declare_state_and_memory(self, previous_state: Any) -> tuple[Any, Any]:
        query = AllocationQuery(previous_state.shape, previous_state.dtype)
        return replace(previous_state, jit_mode=False), query


@numba.njit(nogil=True, cache=True)
def _mix(x: np.uint64) -> np.uint64:
    """The finaliser of SplitMix64 (Steele et al. 2014): a bijection that scatters neighbouring inputs."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@numba.njit(nogil=True, cache=True)
def _crop_flip(images: Any, output: Any, indices: Any, key: Any, padding: int, flip: bool) -> None:
    count, height, width, channels = images.shape
    places = np.uint64(2 * padding + 1)
    for n in range(count):
        draw = _mix(_mix(indices[n] + np.uint64(0x9E3779B97F4A7C15)) ^ key)
        top = np.int64((draw & np.uint64(0xFFFF)) % places) - padding
        left = np.int64(((draw >> np.uint64(16)) & np.uint64(0xFFFF)) % places) - padding
        mirrored = flip and (draw >> np.uint64(63)) == np.uint64(1)
        for row in range(height):
            source_row = row + top
            for column in range(width):
                source_column = left + (width - 1 - column if mirrored else column)
                inside = 0 <= source_row < height and 0 <= source_column < width
                for channel in range(channels):
                    output[n, row, column, channel] = images[n, source_row, source_column, channel] if inside else 0
