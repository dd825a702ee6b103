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

from slt_bench.common.errors import BenchError
from slt_bench.data.decode.compiled import compiled

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
_BAD_IS_FAILURE = 8192 | 32768  # TJFLAG_STOPONWARNING, TJFLAG_LIMITSCANS: damage ends the work, and thousands of scans do
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
    """Offsets of the frame header and of the coded blocks, the restart interval, and whether parts can be cut out.

    The offsets are 0 where the bytes are no JPEG that `decode` takes. Whatever they are, none is read beside them.
    """
    position, frame, interval, simple = 2, 0, 0, False
    while position + 4 <= data.size and data[position] == 0xFF:
        kind, length = data[position + 1], (np.int64(data[position + 2]) << 8) | data[position + 3]
        if kind == 0xFF:  # fills up
            position += 1
            continue
        after = position + 2 + length
        if length < 2 or after > data.size:
            break
        if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):
            if frame or length < 11 or kind > 0xC2:  # of codes other than Huffman's a byte may stand for any number of pixels
                break
            frame = position
            sampled = kind <= 0xC1 and length == 17 and data[position + 9] == 3 and data[position + 11] == 0x22
            simple = sampled and data[position + 14] == 0x11 and data[position + 17] == 0x11
        elif kind == 0xDD and length == 4:
            interval = (np.int64(data[position + 4]) << 8) | data[position + 5]
        elif kind == 0xDA:
            return frame, after, interval, simple and length == 12 and data[position + 4] == 3
        position = after
    return 0, 0, 0, False


@compiled
def _has_size(data: Any, frame: int, height: int, width: int) -> bool:
    """Whether the frame header at that offset, 0 if there is none, says that height and width."""
    rows = (np.int64(data[frame + 5]) << 8) | data[frame + 6] if frame else 0
    columns = (np.int64(data[frame + 7]) << 8) | data[frame + 8] if frame else 0
    return frame > 0 and rows == height and columns == width


@compiled
def fits(data: Any, height: int, width: int) -> bool:
    """Whether a JPEG has that height and width. Another one would be decoded to anything that is smaller."""
    return _has_size(data, _header(data)[0], height, width)


@compiled
def _segments(data: Any, start: int, starts: Any, needed: int) -> int:
    """Offsets of the first `needed` + 1 segments, each after its restart marker; returns how many were found.

    RST0 to RST7 take turns: any other marker ends the search.
    """
    address, end, position, found = data.ctypes.data, data.size - 1, start, 1
    starts[0] = start
    while found <= needed and position < end:
        place = _find(address + position, np.int32(0xFF), end - position)
        if place == 0:
            break
        position = place - address + 2
        kind, last = data[position - 1], data[position - 1] == 0xD9  # EOI ends the last one
        if kind == 0xD0 + (found - 1) % 8 or last:
            starts[found] = position
            found += 1
        elif kind != 0:
            break
        if last:
            break
    return found


@compiled
def _put(out: Any, at: int, value: int) -> int:
    """Write 16 bits; returns where they end."""
    out[at], out[at + 1] = value >> 8, value & 255
    return at + 2


@compiled
def cut(data: Any, height: int, width: int, box: Any, out: Any, starts: Any) -> tuple[int, int, int, int, int]:
    """Write into `out` a JPEG of the segments that cover box = (top, left, height, width) and one pixel around it.

    Returns:
        Bytes written, and top, left, height, width of the part in pixels; 0 bytes where the JPEG allows no cutting.
    """
    frame, coded, interval, simple = _header(data)
    columns, rows = -(-width // MCU), -(-height // MCU)
    if not simple or interval == 0 or columns % interval or not _has_size(data, frame, height, width):
        return 0, 0, 0, height, width
    each, per_row = interval * MCU, columns // interval
    top, bottom = max(box[0] - 1, 0) // MCU, min(-(-(box[0] + box[2] + 1) // MCU), rows)
    left, right = max(box[1] - 1, 0) // each, min(-(-(box[1] + box[3] + 1) // each), per_row)
    if out.size < data.size + 4 or starts.size <= bottom * per_row:
        return 0, 0, 0, height, width
    if _segments(data, coded, starts, bottom * per_row) <= (bottom - 1) * per_row + right:
        return 0, 0, 0, height, width
    out[:coded] = data[:coded]
    part_height, part_width = min(bottom * MCU, height) - top * MCU, min(right * each, width) - left * each
    _put(out, frame + 5, part_height)
    _put(out, frame + 7, part_width)
    size, number = coded, 0
    for row in range(top, bottom):
        for segment in range(row * per_row + left, row * per_row + right):
            first, last = starts[segment], starts[segment + 1] - 2
            if number:
                size = _put(out, size, 0xFFD0 + (number - 1) % 8)
            out[size : size + last - first] = data[first:last]
            size += last - first
            number += 1
    return _put(out, size, 0xFFD9), top * MCU, left * each, part_height, part_width


@compiled
def decode(data: Any, size: int, height: int, width: int, pixels: Any) -> bool:
    """Decode the first `size` bytes into uint8[height * width * 3], scaled to that height and width; False if they are bad."""
    if _header(data[:size])[0] == 0:
        return False
    handle = _start()
    failed = _decompress(
        handle, data.ctypes.data, np.uint64(size), pixels.ctypes.data, np.int32(width), np.int32(0), np.int32(height),
        np.int32(0), np.int32(_BAD_IS_FAILURE),
    )  # fmt: skip
    _stop(handle)
    return failed == 0
