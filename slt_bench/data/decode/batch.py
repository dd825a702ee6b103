"""The compiled loop that fills a batch: each stored image is decoded, cropped, resized and flipped."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from slt_bench.common.compiled import compiled
from slt_bench.data.beton import JPG
from slt_bench.data.decode import jpeg
from slt_bench.data.decode.augment import padded_crop_and_flip, random_crop_box, resized_flip, sequence_start
from slt_bench.data.decode.jpeg_parts import cut
from slt_bench.data.decode.resize import resample, resized_shape


class Stored(NamedTuple):
    """The parts of a .beton file that the compiled loops read; arrays as in `BetonFile`."""

    content: NDArray[np.uint8]
    begins: NDArray[np.int64]
    sizes: NDArray[np.int64]
    modes: NDArray[np.int64]
    heights: NDArray[np.int64]
    widths: NDArray[np.int64]


class Settings(NamedTuple):
    """A view in the form that the compiled loops take."""

    training: bool
    flip: bool
    padding: int


class Resizing(NamedTuple):
    """The part of a view that gives images another size."""

    side: int  # in pixels, of what a network sees
    resize: int
    smallest: float  # share of the area
    largest: float


class Memory(NamedTuple):
    """The memory that a thread works in."""

    part: NDArray[np.uint8]  # of a JPEG
    starts: NDArray[np.int64]  # of its segments
    pixels: NDArray[np.uint8]
    row: NDArray[np.float32]


@compiled
def fill_batch(stored: Any, indices: Any, settings: Any, resizing: Any, key: Any, out: Any, memory: Any) -> int:
    """Write a batch of images as a network sees them.

    Args:
        stored: a `Stored`.
        indices: int64[b], numbers of images.
        settings: a `Settings`.
        resizing: a `Resizing`, or None where images keep the size in which they are stored. numba compiles the loop for
            each of the two, and leaves out what the other one needs: that takes 3 s instead of 13.
        key: uint64, of the epoch.
        out: uint8[b, h, w, 3], where the images are written.
        memory: a `Memory`.

    Returns:
        The position in the batch of an image that does not exist or cannot be decoded; -1 if there is none.
    """
    for n in range(indices.size):
        image = indices[n]
        if not 0 <= image < stored.begins.size:
            return n
        data = stored.content[stored.begins[image] : stored.begins[image] + stored.sizes[image]]
        height, width, is_jpeg = stored.heights[image], stored.widths[image], stored.modes[image] == JPG
        start = sequence_start(key, image)
        if is_jpeg and not jpeg.fits(data, height, width):
            return n
        if resizing is None:
            decoded = _write_own_size(data, is_jpeg, height, width, start, settings, out[n], memory)
        else:
            decoded = _write_resized(data, is_jpeg, height, width, start, settings, resizing, out[n], memory)
        if not decoded:
            return n
    return -1


@compiled
def _write_own_size(
    data: Any, is_jpeg: bool, height: int, width: int, start: Any, settings: Any, out: Any, memory: Any
) -> bool:
    """Write one image in the size in which it is stored, cropped after padding with zeros, and flipped.

    Args:
        data: uint8[bytes], the stored image.
        is_jpeg: whether these bytes are a JPEG or pixels.
        height: of the image, in pixels.
        width: of the image, in pixels.
        start: uint64, the image's `sequence_start`.
        settings: a `Settings`.
        out: uint8[height, width, 3], where the result is written.
        memory: a `Memory`.

    Returns:
        False if the image cannot be decoded.
    """
    pixels = data
    if is_jpeg:
        pixels = memory.pixels
        if not jpeg.decode(data, data.size, height, width, pixels):
            return False
    image = pixels[: height * width * 3].reshape((height, width, 3))
    top, left, mirrored = padded_crop_and_flip(start, settings.padding, settings.flip)
    for row in range(height):
        source_row = row + top
        for column in range(width):
            source_column = left + (width - 1 - column if mirrored else column)
            inside = 0 <= source_row < height and 0 <= source_column < width
            for channel in range(3):
                out[row, column, channel] = image[source_row, source_column, channel] if inside else 0
    return True


@compiled
def _write_resized(
    data: Any, is_jpeg: bool, height: int, width: int, start: Any, settings: Any, resizing: Any, out: Any, memory: Any
) -> bool:
    """Write one image as a random resized crop in training, or resized as a whole and cropped at its centre.

    Args:
        data: uint8[bytes], the stored image.
        is_jpeg: whether these bytes are a JPEG or pixels.
        height: of the image, in pixels.
        width: of the image, in pixels.
        start: uint64, the image's `sequence_start`.
        settings: a `Settings`.
        resizing: a `Resizing`.
        out: uint8[side, side, 3], where the result is written.
        memory: a `Memory`.

    Returns:
        False if the image cannot be decoded.
    """
    side = resizing.side
    grid = np.array([side, side, 0, 0])
    if settings.training:
        box = np.array(random_crop_box(start, height, width, resizing.smallest, resizing.largest))
    else:
        box, (rows, columns) = np.array([0, 0, height, width]), resized_shape(height, width, resizing.resize)
        grid = np.array([rows, columns, int(np.rint((rows - side) / 2.0)), int(np.rint((columns - side) / 2.0))])
    mirrored = settings.flip and resized_flip(start)
    return resize_box(data, is_jpeg, height, width, box, grid, settings.training, mirrored, out, memory)


@compiled
def resize_box(
    data: Any, is_jpeg: bool, height: int, width: int, box: Any, grid: Any, reduced: bool, mirrored: bool, out: Any, memory: Any
) -> bool:  # fmt: skip
    """Decode a box of a stored image and spread it over a grid.

    Args:
        data: uint8[bytes], the stored image.
        is_jpeg: whether these bytes are a JPEG or pixels.
        height: of the image, in pixels.
        width: of the image, in pixels.
        box: int64[4], top, left, height and width, in pixels.
        grid: int64[4], as `resample` takes it.
        reduced: decode no more of a JPEG than the box needs, and at a lower scale where that is enough.
        mirrored: exchange left and right.
        out: uint8[h, w, 3], where the result is written.
        memory: a `Memory`.

    Returns:
        False if the image cannot be decoded.
    """
    if not is_jpeg:
        resample(data, width, box.astype(np.float64), grid, out, mirrored, memory.row)
        return True
    source, size, top, left, part_height, part_width, step = data, 0, 0, 0, height, width, 1
    if reduced:
        size, top, left, part_height, part_width = cut(data, height, width, box, memory.part, memory.starts)
        step = 1 << jpeg.halvings(box[2], box[3], out.shape[0])
        source = memory.part if size else data
    size = size or data.size
    part_height, part_width = -(-part_height // step), -(-part_width // step)
    if not jpeg.decode(source, size, part_height, part_width, memory.pixels):
        return False
    inside = np.array([(box[0] - top) / step, (box[1] - left) / step, box[2] / step, box[3] / step])
    resample(memory.pixels, part_width, inside, grid, out, mirrored, memory.row)
    return True
