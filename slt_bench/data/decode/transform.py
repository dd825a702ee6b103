"""How stored pictures are shown to a network: decoded, cropped, resized, flipped."""

from __future__ import annotations

from pathlib import Path
from threading import local
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from slt_bench.common.errors import BenchError
from slt_bench.data.beton import JPG, BetonFile
from slt_bench.data.decode import jpeg
from slt_bench.data.decode.augment import draw, random_box, shorter_side, uniform
from slt_bench.data.decode.compiled import compiled
from slt_bench.data.decode.resize import resample
from slt_bench.params.datasets import View


class _Settings(NamedTuple):
    """A view, as the loops take it."""

    training: bool
    flip: bool
    padding: int
    side: int  # of what a network sees; 0: as stored
    resize: int
    smallest: float  # share of the area
    largest: float


class _Memory(NamedTuple):
    """What a thread works in."""

    part: NDArray[np.uint8]  # of a JPEG
    starts: NDArray[np.int64]  # of its segments
    pixels: NDArray[np.uint8]
    row: NDArray[np.float32]


class Show:
    """The pictures of a .beton file as a network sees them; several threads may ask at once.

    Args:
        path: the file.
        view: how its pictures are shown.
        training: with random crops and flips.
    """

    def __init__(self, path: Path, view: View, training: bool) -> None:
        file, self._path = BetonFile(path), path
        heights, widths, self.labels = file.heights, file.widths, file.labels
        if view.resolution is None and (len(np.unique(heights)) > 1 or len(np.unique(widths)) > 1):
            raise BenchError(f"{path} holds pictures of many sizes: give its dataset a resolution and a resize")
        self._places, self._fields = (file.content, file.begins, file.sizes), (file.modes, heights, widths)
        side = view.resolution or 0
        self._shape = (side, side, 3) if side else (int(heights[0]), int(widths[0]), 3)
        padding, flip = (view.crop_padding, view.flip) if training else (0, False)
        self._settings = _Settings(training, flip, padding, side, view.resize or 0, *map(float, view.crop_area))
        self._local = local()

    def batch(self, indices: NDArray[np.int64], key: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """The pictures of these numbers, uint8[n, h, w, 3], and their labels; what is random is drawn from `key`.

        Raises:
            BenchError: a number is none of a picture, or the picture cannot be decoded.
        """
        out = np.empty((len(indices), *self._shape), np.uint8)
        bad = _show(self._places, self._fields, indices, self._settings, np.uint64(key & (2**64 - 1)), out, self._memory())
        if bad >= 0:
            (image,) = self.checked(indices[bad : bad + 1])
            raise BenchError(
                f"image {image} in {self._path} cannot be decoded: delete the file, then prepare its dataset again"
            )
        return out, self.labels[indices]

    def checked(self, indices: NDArray[Any]) -> NDArray[np.int64]:
        """The same, once they are known to be numbers of pictures of this file.

        Raises:
            BenchError: naming one that is not.
        """
        if indices.ndim != 1 or (indices.size and indices.dtype.kind not in "iu"):
            raise BenchError(f"numbers of images in {self._path} are a list of integers, not {indices.dtype} {indices.shape}")
        if indices.size and not 0 <= indices.min() <= indices.max() < len(self.labels):
            wrong = indices[(indices < 0) | (indices >= len(self.labels))][0]
            raise BenchError(f"{self._path} has no image {wrong}: it has {len(self.labels)}, numbered from 0")
        return np.ascontiguousarray(indices, np.int64)

    def _memory(self) -> _Memory:
        """This thread's."""
        if not hasattr(self._local, "memory"):
            (_, _, sizes), (_, heights, widths) = self._places, self._fields
            segments = int((-(-heights // jpeg.MCU) * -(-widths // jpeg.MCU)).max()) + 2
            self._local.memory = _Memory(
                np.empty(int(sizes.max()) + 4096, np.uint8), np.empty(segments, np.int64),
                np.empty(int((heights * widths).max()) * 3, np.uint8), np.empty(3 * int(widths.max()) + 16, np.float32),
            )  # fmt: skip
        memory: _Memory = self._local.memory
        return memory


@compiled
def _show(places: Any, fields: Any, indices: Any, settings: Any, key: Any, out: Any, memory: Any) -> int:
    """Fill `out` with the images of these numbers; returns the place of one that is not there or cannot be decoded, or -1."""
    file, begins, sizes = places
    modes, heights, widths = fields
    side = settings.side
    for n in range(indices.size):
        image = indices[n]
        if not 0 <= image < begins.size:
            return n
        data = file[begins[image] : begins[image] + sizes[image]]
        start = draw(key, image)
        height, width, is_jpeg = heights[image], widths[image], modes[image] == JPG
        if is_jpeg and not jpeg.fits(data, height, width):
            return n
        if side == 0:
            pixels = data
            if is_jpeg:
                pixels = memory.pixels
                if not jpeg.decode(data, data.size, height, width, pixels):
                    return n
            picture = pixels[: height * width * 3].reshape((height, width, 3))
            _crop_flip(picture, out[n], start, settings.padding, settings.flip)
        else:
            grid = np.array([side, side, 0, 0])
            if settings.training:
                box = np.array(random_box(start, height, width, settings.smallest, settings.largest))
            else:
                box, (rows, columns) = np.array([0, 0, height, width]), shorter_side(height, width, settings.resize)
                grid = np.array([rows, columns, int(np.rint((rows - side) / 2.0)), int(np.rint((columns - side) / 2.0))])
            mirrored = settings.flip and uniform(start, 63, 0.0, 1.0) < 0.5
            if not _resized(data, is_jpeg, height, width, box, grid, settings.training, mirrored, out[n], memory):
                return n
    return -1


@compiled
def _resized(
    data: Any, is_jpeg: bool, height: int, width: int, box: Any, grid: Any, reduced: bool, mirrored: bool, out: Any, memory: Any
) -> bool:  # fmt: skip
    """A box of a stored picture on a grid; of a JPEG only what the box needs is decoded, if `reduced`, and at a lower scale."""
    if not is_jpeg:
        resample(data, width, box.astype(np.float64), grid, out, mirrored, memory.row)
        return True
    source, size, top, left, part_height, part_width, step = data, 0, 0, 0, height, width, 1
    if reduced:
        size, top, left, part_height, part_width = jpeg.cut(data, height, width, box, memory.part, memory.starts)
        step = 1 << jpeg.halvings(box[2], box[3], out.shape[0])
        source = memory.part if size else data
    size = size or data.size
    part_height, part_width = -(-part_height // step), -(-part_width // step)
    if not jpeg.decode(source, size, part_height, part_width, memory.pixels):
        return False
    inside = np.array([(box[0] - top) / step, (box[1] - left) / step, box[2] / step, box[3] / step])
    resample(memory.pixels, part_width, inside, grid, out, mirrored, memory.row)
    return True


@compiled
def _crop_flip(image: Any, out: Any, start: Any, padding: int, flip: bool) -> None:
    """Random crop after zero-padding, and random horizontal flip."""
    height, width, channels = image.shape
    places = np.uint64(2 * padding + 1)
    top = np.int64((start & np.uint64(0xFFFF)) % places) - padding
    left = np.int64(((start >> np.uint64(16)) & np.uint64(0xFFFF)) % places) - padding
    mirrored = flip and (start >> np.uint64(63)) == np.uint64(1)
    for row in range(height):
        source_row = row + top
        for column in range(width):
            source_column = left + (width - 1 - column if mirrored else column)
            inside = 0 <= source_row < height and 0 <= source_column < width
            for channel in range(channels):
                out[row, column, channel] = image[source_row, source_column, channel] if inside else 0
