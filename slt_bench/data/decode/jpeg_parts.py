"""Cutting of JPEGs: the part that a crop needs becomes a smaller JPEG, without decoding anything.

A JPEG is one stream of Huffman codes. To reach a row, everything before it has to be decoded, which is most of the work at
usual image sizes. Restart markers change that: decoding can begin anew at each of them. `encode.encode_image` stores a
marker every few blocks (`restart_interval`). The segments between them that cover a crop are put together here to a smaller
JPEG (`cut`); its pixels are those of the whole JPEG, bit for bit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from slt_bench.common.compiled import compiled
from slt_bench.data.decode.jpeg import MCU, has_size, read_header

_find: Any = types.ExternalFunction("memchr", types.intp(types.intp, types.int32, types.intp))


def restart_interval(width: int) -> int:
    """Choose the blocks between restart markers for an image of `width` pixels.

    The number divides the blocks in a row, so that every row begins with a segment, and is 4 or little more.
    """
    blocks = -(-width // MCU)
    return next((interval for interval in range(4, blocks // 2 + 1) if blocks % interval == 0), blocks)


@compiled
def _segments(data: Any, start: int, starts: Any, needed: int) -> int:
    """Find the segments between restart markers. RST0 to RST7 take turns: any other marker ends the search.

    Args:
        data: uint8[bytes], the JPEG.
        start: offset of the coded blocks.
        starts: int64[at least needed + 1], where the offset of each segment, behind its marker, is written.
        needed: segments whose beginning and end are wanted.

    Returns:
        The number of offsets that were written, at most needed + 1.
    """
    address, end, position, found = data.ctypes.data, data.size - 1, start, 1
    starts[0] = start
    while found <= needed and position < end:
        marker = _find(address + position, np.int32(0xFF), end - position)
        if marker == 0:
            break
        position = marker - address + 2
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
    """Write 16 bits, high byte first.

    Args:
        out: uint8[bytes].
        at: offset of the first byte.
        value: from 0 to 65,535.

    Returns:
        The offset behind them.
    """
    out[at], out[at + 1] = value >> 8, value & 255
    return at + 2


@compiled
def cut(data: Any, height: int, width: int, box: Any, out: Any, starts: Any) -> tuple[int, int, int, int, int]:
    """Cut out of a JPEG a smaller one that covers a box and one pixel around it.

    Args:
        data: uint8[bytes], the JPEG.
        height: of the image, in pixels.
        width: of the image, in pixels.
        box: int64[4], top, left, height and width of the box inside the image, in pixels.
        out: uint8[at least bytes + 4], where the smaller JPEG is written.
        starts: int64[more than segments in the JPEG], memory to work in.

    Returns:
        Bytes written, and top, left, height and width of the part in pixels. 0 bytes, and the whole image as the part, where
        the JPEG cannot be cut: it has no restart markers, another size or kind, or `out` or `starts` are too small.
    """
    frame, coded, interval, simple = read_header(data)
    columns, rows = -(-width // MCU), -(-height // MCU)
    if not simple or interval == 0 or columns % interval or not has_size(data, frame, height, width):
        return 0, 0, 0, height, width
    segment_width, per_row = interval * MCU, columns // interval
    top, bottom = max(box[0] - 1, 0) // MCU, min(-(-(box[0] + box[2] + 1) // MCU), rows)
    left, right = max(box[1] - 1, 0) // segment_width, min(-(-(box[1] + box[3] + 1) // segment_width), per_row)
    if out.size < data.size + 4 or starts.size <= bottom * per_row:
        return 0, 0, 0, height, width
    if _segments(data, coded, starts, bottom * per_row) <= (bottom - 1) * per_row + right:
        return 0, 0, 0, height, width
    out[:coded] = data[:coded]
    part_height, part_width = min(bottom * MCU, height) - top * MCU, min(right * segment_width, width) - left * segment_width
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
    return _put(out, size, 0xFFD9), top * MCU, left * segment_width, part_height, part_width
