"""The loader of a search: batches from a .beton file, the same bytes for any number of threads and processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from slt_bench.common import random
from slt_bench.common.compiled import compiled
from slt_bench.data.decode.transform import Transform
from slt_bench.data.prefetch import prefetch
from slt_bench.data.upload import upload
from slt_bench.params.datasets import View

T = TypeVar("T")


class Loader:
    """Batches of the images of one .beton file, or of some of them; one process may take its share of the batches.

    Args:
        path: the file, verified before (`manifest.verify_file`).
        view: normalisation, size and augmentation; an evaluation leaves its random parts out.
        batch_size: images a batch. A training batch is shared by all processes, an evaluation batch belongs to one.
        seed: of order and augmentation; None for an evaluation, which takes every image once, in file order.
        workers: threads that decode; their number does not change the batches.
        indices: int64[n], numbers of images in the file; None for all.
        share: rank of this process and world size. In training every process gets its part of each batch, in an evaluation
            every world-size-th batch.
        device: where images are normalised and batches lie.

    Raises:
        BenchError: the file is damaged, has no such images, or holds images of many sizes and the view has no resolution.
    """

    def __init__(
        self,
        path: Path,
        view: View,
        batch_size: int,
        seed: int | None = None,
        workers: int = 1,
        indices: NDArray[np.int64] | None = None,
        share: tuple[int, int] = (0, 1),
        device: torch.device | str = "cpu",
    ) -> None:
        self._transform = Transform(path, view, training=seed is not None)
        self.indices = self._transform.check_indices(np.arange(len(self._transform.labels)) if indices is None else indices)
        self.path, self.images, self.batch_size = path, len(self.indices), batch_size
        self.view, self.seed, self.workers, self.share, self.device = view, seed, workers, share, device
        self._mean = np.array(view.mean, np.float32) * np.float32(255)
        self._inverse_std = 1 / (np.array(view.std, np.float32) * np.float32(255))

    @property
    def bytes_of_pixels(self) -> int:
        """The bytes that the images of the loader take as pixels, with the zeros that crops need around them."""
        height, width, channels = self._transform.shape
        padding = self.view.crop_padding if self.seed is not None else 0
        return self.images * (height + 2 * padding) * (width + 2 * padding) * channels

    def __len__(self) -> int:
        """Return the batches in an epoch, over all processes.

        Training leaves out a last batch that is not full, an evaluation never does.
        """
        return self.images // self.batch_size if self.seed is not None else -(-self.images // self.batch_size)

    def epoch(self, number: int = 0, first: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the batches of an epoch.

        Args:
            number: of the epoch; order and augmentation depend on the seed and on this number alone.
            first: batch to begin with, where an epoch was broken off.

        Yields:
            Images float32[b, 3, h, w], normalised, channels last in memory, and labels int64[b].

        Raises:
            BenchError: an image cannot be decoded.
        """
        if torch.device(self.device).type == "cpu":
            for images, labels in self._prefetched(self._normalised_batch, number, first):
                yield torch.from_numpy(images).permute(0, 3, 1, 2), torch.from_numpy(labels)
            return
        mean, inverse_std = (torch.from_numpy(channels).to(self.device) for channels in (self._mean, self._inverse_std))
        for pixels, labels_there in upload(self._prefetched(self._pinned_batch, number, first), torch.device(self.device)):
            yield pixels.to(torch.float32).sub_(mean).mul_(inverse_std).permute(0, 3, 1, 2), labels_there

    def _pinned_batch(self, indices: NDArray[np.int64], key: int) -> tuple[Tensor, Tensor]:
        """Make a batch in memory from which a GPU copies by itself: uint8[b, h, w, 3] and int64[b]."""
        images, labels = self._transform.batch(indices, key)
        return torch.from_numpy(images).pin_memory(), torch.from_numpy(labels).pin_memory()

    def _prefetched(self, make_batch: Callable[[NDArray[np.int64], int], T], epoch: int, first: int) -> Iterator[T]:
        """Make the batches of an epoch in threads, ahead of the search.

        Args:
            make_batch: called with a batch's image numbers, int64[b], and the key of the epoch.
            epoch: number of the epoch.
            first: batch to begin with.

        Returns:
            An iterator over the batches in order.
        """
        key = self._key(epoch)
        batches = [self.indices[positions] for positions in self._positions(epoch)[first:]]
        return prefetch(lambda indices: make_batch(indices, key), batches, self.workers, self.workers + 2)

    def _key(self, epoch: int) -> int:
        """Return the key that crops and flips of an epoch are drawn with."""
        return 0 if self.seed is None else random.key(self.seed, "augmentation", epoch)

    def _normalised_batch(self, indices: NDArray[np.int64], key: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Make a batch and normalise it on the CPU: float32[b, h, w, 3] and int64[b]."""
        images, labels = self._transform.batch(indices, key)
        normalised, width = np.empty(images.shape, np.float32), images.shape[2]
        rows = images.reshape(-1, 3 * width)
        _normalise(rows, np.tile(self._mean, width), np.tile(self._inverse_std, width), normalised.reshape(rows.shape))
        return normalised, labels

    def _positions(self, epoch: int) -> list[NDArray[np.int64]]:
        """List the images that this process gets in an epoch, batch by batch, by their positions in `indices`."""
        (rank, world_size), size = self.share, self.batch_size
        if self.seed is None:
            return [np.arange(at, min(at + size, self.images)) for at in range(0, self.images, size)][rank::world_size]
        order = random.permutation(self.seed, "order", epoch, self.images)
        part = size // world_size
        return [order[at + rank * part : at + (rank + 1) * part] for at in range(0, len(self) * size, size)]


@compiled
def _normalise(rows: Any, mean: Any, inverse_std: Any, out: Any) -> None:
    """Subtract a mean from rows of pixels and multiply by an inverse standard deviation.

    Args:
        rows: uint8[n, 3 * width].
        mean: float32[3 * width], the channels' means repeated along the row.
        inverse_std: float32[3 * width], likewise.
        out: float32[n, 3 * width], where the result is written.
    """
    for y in range(rows.shape[0]):
        row, into = rows[y], out[y]
        for x in range(row.size):
            into[x] = (np.float32(row[x]) - mean[x]) * inverse_std[x]
