"""Loaders: batches from a .beton file, the same bytes for any number of workers and processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from slt_bench.common import random
from slt_bench.data.decode.compiled import compiled
from slt_bench.data.decode.transform import Show
from slt_bench.data.prefetch import ahead
from slt_bench.params.datasets import View

T = TypeVar("T")


class Loader:
    """Batches of one .beton file, or of a part of it; with several processes, this one's share of them.

    Args:
        path: the file, verified before (`manifest.verify_file`).
        view: normalisation, size and augmentation; evaluation takes no random part of it.
        batch_size: images a batch, over all processes in training, of one process in evaluation.
        seed: of order and augmentation; None for evaluation, which sees every image once, in file order.
        workers: threads that decode; they do not change what comes out.
        indices: numbers of the images in the file; all if None.
        share: number of this process, and how many there are. Training: each gets its part of every batch. Evaluation:
            the batches are dealt out in turns.
        device: where images are normalised, and where they lie then.

    Raises:
        BenchError: the file is damaged, has no such images, or needs a view with a resolution.
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
        self._show = Show(path, view, training=seed is not None)
        self.indices = self._show.checked(np.arange(len(self._show.labels)) if indices is None else indices)
        self.images, self.batch_size = len(self.indices), batch_size
        self.seed, self.workers, self.share, self.device = seed, workers, share, device
        self._mean = np.array(view.mean, np.float32) * np.float32(255)
        self._inverse_std = 1 / (np.array(view.std, np.float32) * np.float32(255))

    def __len__(self) -> int:
        """Batches in an epoch, over all processes: training leaves out a last partial batch, evaluation never does."""
        return self.images // self.batch_size if self.seed is not None else -(-self.images // self.batch_size)

    def epoch(self, number: int = 0, first: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches of float32[b, 3, h, w] (channels last) and int64[b]; order and augmentation depend on the epoch alone.

        Training may begin with batch `first`, where an epoch was broken off.
        """
        on_device = torch.device(self.device).type != "cpu"  # pixels travel as bytes and are normalised there
        mean, inverse_std = (torch.from_numpy(each).to(self.device) for each in (self._mean, self._inverse_std))
        for images, labels in self._ahead(self._show.batch if on_device else self._normalised, number, first):
            pixels = torch.from_numpy(images).to(self.device)
            if on_device:
                pixels = pixels.to(torch.float32).sub_(mean).mul_(inverse_std)
            yield pixels.permute(0, 3, 1, 2), torch.from_numpy(labels).to(self.device)

    def raw_epoch(self, number: int = 0) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.int64]]]:
        """The same before normalisation: uint8[b, h, w, 3], int64[b]."""
        return self._ahead(self._show.batch, number, 0)

    def _ahead(self, work: Callable[[NDArray[np.int64], int], T], epoch: int, first: int) -> Iterator[T]:
        key = 0 if self.seed is None else random.key(self.seed, "augmentation", epoch)
        return ahead(lambda indices: work(indices, key), self._batches(epoch)[first:], self.workers, self.workers + 2)

    def _normalised(self, indices: NDArray[np.int64], key: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        images, labels = self._show.batch(indices, key)
        normalised, width = np.empty(images.shape, np.float32), images.shape[2]
        rows = images.reshape(-1, 3 * width)
        _normalise(rows, np.tile(self._mean, width), np.tile(self._inverse_std, width), normalised.reshape(rows.shape))
        return normalised, labels

    def _batches(self, epoch: int) -> list[NDArray[np.int64]]:
        """Numbers of the images that this process gets, batch by batch."""
        (rank, processes), size = self.share, self.batch_size
        if self.seed is None:
            return [self.indices[at : at + size] for at in range(0, self.images, size)][rank::processes]
        order = self.indices[random.permutation(self.seed, "order", epoch, self.images)]
        mine = size // processes
        return [order[at + rank * mine : at + (rank + 1) * mine] for at in range(0, len(self) * size, size)]


@compiled
def _normalise(rows: Any, mean: Any, inverse_std: Any, out: Any) -> None:
    for y in range(rows.shape[0]):
        row, into = rows[y], out[y]
        for x in range(row.size):
            into[x] = (np.float32(row[x]) - mean[x]) * inverse_std[x]
