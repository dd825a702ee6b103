"""Decoding of JPEGs with libjpeg-turbo, called from compiled code, and a check of their headers."""

from __future__ import annotations

import ctypes
import ctypes.util
from typing import Any

import llvmlite.binding
import numpy as np
from numba import types

from slt_bench.common.compiled import compiled
from slt_bench.common.errors import BenchError

_LIBRARY = ctypes.util.find_library("turbojpeg")
if _LIBRARY is not None:
    llvmlite.binding.load_library_permanently(_LIBRARY)  # by name, so that numba can cache what calls it
else:  # images that are stored as pixels need none, but what is compiled for both must find its functions
    _failure = ctypes.CFUNCTYPE(ctypes.c_ssize_t)(lambda: -1)
    for _name in ("tjInitDecompress", "tjDestroy", "tjDecompress2"):
        llvmlite.binding.add_symbol(_name, ctypes.cast(_failure, ctypes.c_void_p).value)

_start: Any = types.ExternalFunction("tjInitDecompress", types.intp())
_stop: Any = types.ExternalFunction("tjDestroy", types.int32(types.intp))
_decompress: Any = types.ExternalFunction(
    "tjDecompress2",
    types.int32(types.intp, types.intp, types.uint64, types.intp, *[types.int32] * 5),
)  # handle, JPEG, its size, pixels, width, pitch, height, pixel format (0: RGB), flags

MCU = 16  # side in pixels of a block of JPEG with halved chroma, as OpenCV writes it
_BAD_IS_FAILURE = 8192 | 32768  # TJFLAG_STOPONWARNING, TJFLAG_LIMITSCANS: damage ends the work, and thousands of scans do
_MOST_HALVINGS = 3  # libjpeg-turbo's smallest scale is 1/8


def check_library() -> None:
    """Check that JPEGs can be decoded.

    Raises:
        BenchError: libturbojpeg is missing.
    """
    if _LIBRARY is None:
        raise BenchError("libturbojpeg is missing: install the package libturbojpeg0 (`make setup` says how)")


@compiled
def halvings(height: int, width: int, target: int) -> int:
    """Count how often a crop can be halved and still cover a square.

    Only halves are used: the other scales of libjpeg-turbo (7/8, 6/8, ...) have no vector code and take longer than the full
    scale.

    Args:
        height: of the crop, in pixels.
        width: of the crop, in pixels.
        target: side of the square, in pixels.

    Returns:
        A number from 0 to 3.
    """
    times = 0
    while times < _MOST_HALVINGS and min(height, width) >= target << (times + 1):
        times += 1
    return times


@compiled
def read_header(data: Any) -> tuple[int, int, int, bool]:
    """Read the segments of a JPEG that precede its coded blocks; nothing is read beside them, whatever their bytes are.

    Args:
        data: uint8[bytes], the JPEG.

    Returns:
        Offset of the frame header, offset of the coded blocks, blocks between restart markers (0 for none), and whether
        `cut` knows this kind of JPEG. Both offsets are 0 where the bytes are no JPEG that `decode` takes.
    """
    position, frame, interval, simple = 2, 0, 0, False
    while position + 4 <= data.size and data[position] == 0xFF:
        kind, length = data[position + 1], (np.int64(data[position + 2]) << 8) | data[position + 3]
        if kind == 0xFF:  # a fill byte
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
def has_size(data: Any, frame: int, height: int, width: int) -> bool:
    """Decide whether the frame header of a JPEG has a given height and width.

    Args:
        data: uint8[bytes], the JPEG.
        frame: offset of the frame header; 0 where there is none.
        height: expected, in pixels.
        width: expected, in pixels.

    Returns:
        True if there is a frame header and it says so.
    """
    rows = (np.int64(data[frame + 5]) << 8) | data[frame + 6] if frame else 0
    columns = (np.int64(data[frame + 7]) << 8) | data[frame + 8] if frame else 0
    return frame > 0 and rows == height and columns == width


@compiled
def fits(data: Any, height: int, width: int) -> bool:
    """Decide whether a JPEG has a given height and width; libjpeg-turbo would silently scale any other to it.

    Args:
        data: uint8[bytes], the JPEG, or anything else.
        height: expected, in pixels.
        width: expected, in pixels.

    Returns:
        True if the bytes are a JPEG that `decode` takes, of this size.
    """
    return has_size(data, read_header(data)[0], height, width)


@compiled
def decode(data: Any, size: int, height: int, width: int, pixels: Any) -> bool:
    """Decode a JPEG to pixels in RGB, at a scale of libjpeg-turbo.

    Args:
        data: uint8[at least size].
        size: bytes of the JPEG.
        height: of the result, in pixels: that of the JPEG or a half, quarter or eighth, rounded up.
        width: of the result, in pixels, likewise.
        pixels: uint8[at least height * width * 3], where the result is written.

    Returns:
        False if the JPEG is damaged; the pixels are then undefined.
    """
    if read_header(data[:size])[0] == 0:
        return False
    handle = _start()
    failed = _decompress(
        handle, data.ctypes.data, np.uint64(size), pixels.ctypes.data, np.int32(width), np.int32(0), np.int32(height),
        np.int32(0), np.int32(_BAD_IS_FAILURE),
    )  # fmt: skip
    _stop(handle)
    return failed == 0
