"""Images that lie on the device: copied there once as bytes, cropped and flipped there, with the draws of the CPU's loader."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from slt_bench.data.decode.augment import draw_crops
from slt_bench.data.decode.transform import Transform
from slt_bench.data.loader import Loader
from slt_bench.data.prefetch import prefetch

_SHARE = 0.25  # of the device's free memory that images may take
_AT_A_TIME = 1024  # images that are copied together


class ResidentLoader(Loader):
    """The batches of a `Loader`, byte for byte, of images that lie on its device; they keep the size they are stored in.

    Args:
        loader: whose view has no resolution; its images are copied.
    """

    def __init__(self, loader: Loader) -> None:
        vars(self).update(vars(loader))  # a loader of the same images, whose file need not be read again
        path, view = self.path, self.view
        assert view.resolution is None, "images that are resized are not resident"
        self._padding = view.crop_padding if self.seed is not None else 0
        whole = Transform(path, view, training=False)
        starts = range(0, self.images, _AT_A_TIME)
        parts = prefetch(
            lambda start: whole.batch(self.indices[start : start + _AT_A_TIME], 0), starts, self.workers, self.workers + 2
        )
        self._pixels, self._labels = self._copy(parts)

    def _copy(self, parts: Iterator[tuple[NDArray[np.uint8], NDArray[np.int64]]]) -> tuple[Tensor, Tensor]:
        """Copy images, with zeros around them, and labels: uint8[n, h + 2 padding, w + 2 padding, 3] and int64[n]."""
        padding, labels = self._padding, torch.empty(self.images, dtype=torch.long, device=self.device)
        pixels, start = torch.empty(0, device=self.device), 0
        for part, part_labels in parts:
            count, height, width, _ = part.shape
            if not start:
                shape = (self.images, height + 2 * padding, width + 2 * padding, 3)
                pixels = torch.zeros(shape, dtype=torch.uint8, device=self.device)
            inside = slice(padding, padding + height), slice(padding, padding + width)
            pixels[start : start + count, *inside] = torch.from_numpy(part).to(self.device)
            labels[start : start + count] = torch.from_numpy(part_labels).to(self.device)
            start += count
        return pixels, labels

    def epoch(self, number: int = 0, first: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the batches of an epoch; see `Loader`."""
        mean, inverse_std = (torch.from_numpy(channels).to(self.device) for channels in (self._mean, self._inverse_std))
        batches = self._positions(number)[first:]
        if not batches:
            return
        positions, rows, columns = self._draw(np.concatenate(batches), number)
        start = 0
        for batch in batches:
            part = slice(start, start + len(batch))
            start += len(batch)
            here = positions[part]
            pixels = self._pixels[here[:, None, None], rows[part, :, None], columns[part, None, :]]
            yield pixels.to(torch.float32).sub_(mean).mul_(inverse_std).permute(0, 3, 1, 2), self._labels[here]

    def _draw(self, positions: NDArray[np.int64], epoch: int) -> tuple[Tensor, Tensor, Tensor]:
        """Draw the crops and flips of an epoch.

        Args:
            positions: int64[n], of the images among those that are resident, in the order of the epoch.
            epoch: number of the epoch.

        Returns:
            The positions, and the rows int64[n, h] and columns int64[n, w] that each image is made of, on the device.
        """
        flip = self.view.flip and self.seed is not None
        crops = draw_crops(np.uint64(self._key(epoch) & (2**64 - 1)), self.indices[positions], self._padding, flip)
        on_device, top, left, mirrored = (torch.from_numpy(each).to(self.device) for each in (positions, *crops))
        height, width = (size - 2 * self._padding for size in self._pixels.shape[1:3])
        across = torch.arange(width, device=self.device)
        columns = torch.where(mirrored[:, None], width - 1 - across, across) + left[:, None]
        return on_device, torch.arange(height, device=self.device) + top[:, None], columns


def resident_if_possible(loader: Loader) -> Loader:
    """Copy the images of a loader to its device, where that is a GPU that has room for them; else return the loader."""
    device = torch.device(loader.device)
    if device.type != "cuda" or loader.view.resolution is not None:
        return loader
    torch.cuda.empty_cache()  # what this process only keeps for later is free
    if loader.bytes_of_pixels > _SHARE * torch.cuda.mem_get_info(device)[0]:
        return loader
    try:
        return ResidentLoader(loader)
    except torch.OutOfMemoryError:  # a neighbour on the device was faster
        return loader
