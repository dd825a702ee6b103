"""Decode the part of a JPEG that a crop needs, at the scale that it needs, with libjpeg-turbo.

A JPEG is one stream of Huffman codes: to reach a row, everything before it has to be decoded, which is most of the work at
usual sizes. Unless there are restart markers: at each of them decoding can begin anew. `beton` stores them every few blocks
(`restart_interval`), and here the segments between them that cover a crop are put together to a smaller JPEG, without
decoding anything. Its pixels are those of the whole one, bit for bit (tests/test_pixels.py).
"""

from __future__ import annotations

import ctypes.util
from typing import Any

import llvmlite.binding
import numpy as np
from numba import types

from slt_bench.data.compiled import compiled
from slt_bench.errors import BenchError

_library = ctypes.util.find_library("turbojpeg")
if _library is None:
    raise BenchError("libturbojpeg is missing: install the package libturbojpeg0 (`make setup` says how)")
llvmlite.binding.load_library_permanently(_library)  # by name, so that numba can cache what calls it

_start: Any = types.ExternalFunction("tjInitDecompress", types.intp())
_stop: Any = types.ExternalFunction("tjDestroy", types.int32(types.intp))
_decompress: Any = types.ExternalFunction(
    "tjDecompress2",
    types.int32(types.intp, types.intp, types.uint64, types.intp, *[types.int32] * 5),
)  # handle, JPEG, its size, pixels, width, pitch, height, pixel format (0: RGB), flags
_find: Any = types.ExternalFunction("memchr", types.intp(types.intp, types.int32, types.intp))

MCU = 16  # side in pixels of a block of JPEG with halved chroma, as OpenCV writes it
_MOST_HALVINGS = 3  # libjpeg-turbo's smallest scale is 1/8


def restart_interval(width: int) -> int:
    """Blocks between restart markers for an image of that width: a divisor of the blocks in a row, 4 or a little more."""
    blocks = -(-width // MCU)
    return next((each for each in range(4, blocks // 2 + 1) if blocks % each == 0), blocks)


@compiled
def halvings(height: int, width: int, target: int) -> int:
    """How often a crop can be halved and still cover a square of `target` pixels; 3 at most.

    The other scales of libjpeg-turbo (7/8, 6/8, ...) have no vector code and take longer than the full one.
    """
    times = 0
    while times < _MOST_HALVINGS and min(height, width) >= target << (times + 1):
        times += 1
    return times


@compiled
def _header(data: Any) -> tuple[int, int, int, bool]:
    """Offsets of the frame header and of the coded blocks, the restart interval, and whether parts can be cut out."""
    position, frame, interval, simple = 2, 0, 0, False
    while position + 4 <= data.size:
        kind, length = data[position + 1], (np.int64(data[position + 2]) << 8) | data[position + 3]
        if kind in (0xC0, 0xC1):
            sampled = data[position + 9] == 3 and data[position + 11] == 0x22
            frame, simple = position, sampled and data[position + 14] == 0x11 and data[position + 17] == 0x11
        elif kind == 0xDD:
            interval = (np.int64(data[position + 4]) << 8) | data[position + 5]
        position += 2 + length
        if kind == 0xDA:
            break
    return frame, position, interval, simple


@compiled
def _segments(data: Any, start: int, starts: Any, needed: int) -> int:
    """Offsets of the first `needed` + 1 segments, each after its restart marker; returns how many were found."""
    address, end, position, found = data.ctypes.data, data.size - 1, start, 1
    starts[0] = start
    while found <= needed and position < end:
        place = _find(address + position, np.int32(0xFF), end - position)
        if place == 0:
            break
        position = place - address + 2
        if 0xD0 <= data[position - 1] <= 0xD9:  # RST0 to RST7; EOI ends the last one
            starts[found] = position
            found += 1
    return found


@compiled
def _put(out: Any, at: int, high: int, low: int) -> int:
    out[at], out[at + 1] = high, low
    return at + 2


@compiled
def cut(data: Any, height: int, width: int, box: Any, out: Any, starts: Any) -> tuple[int, int, int, int, int]:
    """Write into `out` a JPEG of the segments that cover box = (top, left, height, width) and one pixel around it.

    Returns:
        Bytes written, and top, left, height, width of the part in pixels; 0 bytes where the JPEG allows no cutting.
    """
    frame, coded, interval, simple = _header(data)
    columns, rows = -(-width // MCU), -(-height // MCU)
    if not simple or interval == 0 or columns % interval:
        return 0, 0, 0, height, width
    each, per_row = interval * MCU, columns // interval
    top, bottom = max(box[0] - 1, 0) // MCU, min(-(-(box[0] + box[2] + 1) // MCU), rows)
    left, right = max(box[1] - 1, 0) // each, min(-(-(box[1] + box[3] + 1) // each), per_row)
    if _segments(data, coded, starts, bottom * per_row) <= (bottom - 1) * per_row + right:
        return 0, 0, 0, height, width
    out[:coded] = data[:coded]
    part_height, part_width = min(bottom * MCU, height) - top * MCU, min(right * each, width) - left * each
    _put(out, frame + 5, part_height >> 8, part_height & 255)
    _put(out, frame + 7, part_width >> 8, part_width & 255)
    size, number = coded, 0
    for row in range(top, bottom):
        for segment in range(row * per_row + left, row * per_row + right):
            first, last = starts[segment], starts[segment + 1] - 2
            if number:
                size = _put(out, size, 0xFF, 0xD0 + (number - 1) % 8)
            out[size : size + last - first] = data[first:last]
            size += last - first
            number += 1
    return _put(out, size, 0xFF, 0xD9), top * MCU, left * each, part_height, part_width


@compiled
def decode(data: Any, size: int, height: int, width: int, pixels: Any) -> bool:
    """Decode the first `size` bytes into uint8[height * width * 3], scaled to that height and width; False if they are bad."""
    handle = _start()
    failed = _decompress(
        handle, data.ctypes.data, np.uint64(size), pixels.ctypes.data, np.int32(width), np.int32(0), np.int32(height),
        np.int32(0), np.int32(0),
    )  # fmt: skip
    _stop(handle)
    return failed == 0
