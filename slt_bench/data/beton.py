"""The layout of a .beton file, read with numpy alone: ffcv 1.0.2's format, version 2, with a picture and a label.

ffcv reads it too, but its import takes longer than a short search's first epoch and is not to be had everywhere. Nor does
ffcv check anything; here every count, place and size is, since compiled code goes where they say.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slt_bench.common.errors import BenchError

_HEADER = np.dtype(
    [("version", "<u2"), ("fields", "<u2"), ("page", "<u4"), ("samples", "<u8"), ("allocations", "<u8")], align=True
)
_FIELD = np.dtype([("type", "<u1"), ("name", "<u1", 16), ("arguments", "<u1", 1024)], align=True)
_PICTURE = np.dtype([("mode", "<u1"), ("width", "<u2"), ("height", "<u2"), ("begin", "<u8")])
_SAMPLE = np.dtype([("picture", _PICTURE), ("label", "<i8")], align=True)
_ALLOCATION = np.dtype([("sample", "<u8"), ("begin", "<u8"), ("size", "<u8")])
_PICTURE_AND_LABEL = [2, 1]  # as ffcv numbers the types of fields
JPG, RAW = 0, 1  # and the modes of a picture
_MOST_PIXELS_A_BYTE = 512  # of a JPEG: the Huffman code of a block of 64 takes a bit at least


class _Damaged(Exception):
    """Something in the file that the format does not allow; the message says what."""


class BetonFile:
    """Where everything lies in one file; its content stays on disk.

    Attributes:
        content: uint8[bytes of the file], mapped into memory.
        modes, heights, widths: of each picture, one at least; its mode is JPG or RAW.
        begins, sizes: of each picture's bytes, which lie inside the file and of a RAW one are its pixels.
        labels: int64[n], none negative.

    Raises:
        BenchError: it is no such file, or a damaged one.
    """

    def __init__(self, path: Path) -> None:
        self.content = _mapped(path)
        try:
            samples, table, data_begin = self._parts()
            picture = samples["picture"]
            self.modes, self.heights, self.widths = (picture[name].astype(np.int64) for name in ("mode", "height", "width"))
            self.labels = samples["label"].astype(np.int64)
            self.begins, self.sizes = _places(picture["begin"], table, data_begin, len(self.content) - table.nbytes)
            self._check_pictures()
        except _Damaged as error:
            raise BenchError(f"{path} is no .beton file of pictures and labels, or a damaged one: {error}") from None

    def __len__(self) -> int:
        """Number of pictures."""
        return len(self.labels)

    @property
    def image_size(self) -> int | None:
        """Side in pixels of its pictures, None where they are not squares of one size."""
        sides = {int(each) for side in (self.heights, self.widths) for each in (side.min(), side.max())}
        return sides.pop() if len(sides) == 1 else None

    def bytes_of(self, number: int) -> NDArray[np.uint8]:
        """A picture as it is stored."""
        return self.content[self.begins[number] : self.begins[number] + self.sizes[number]]

    def _parts(self) -> tuple[NDArray[Any], NDArray[Any], int]:
        """The samples, the table of allocations, and where what lies between them begins."""
        header = self._read(_HEADER, 0, 1, "header")[0]
        version, fields, samples = (int(header[name]) for name in ("version", "fields", "samples"))
        if version != 2 or fields != len(_PICTURE_AND_LABEL):
            raise _Damaged(f"it has version {version} and {fields} fields instead of version 2 and {len(_PICTURE_AND_LABEL)}")
        types = self._read(_FIELD, _HEADER.itemsize, fields, "fields")["type"].tolist()
        if types != _PICTURE_AND_LABEL:
            raise _Damaged(f"its fields have the types {types} instead of {_PICTURE_AND_LABEL}")
        if not samples:
            raise _Damaged("it holds no picture")
        at = _HEADER.itemsize + fields * _FIELD.itemsize
        found = self._read(_SAMPLE, at, samples, f"{samples} samples")
        table_begin, begin = int(header["allocations"]), at + found.nbytes
        if not begin <= table_begin <= len(self.content):
            raise _Damaged(f"its allocation table begins at {table_begin}, outside the file's {begin} to {len(self.content)}")
        rows, rest = divmod(len(self.content) - table_begin, _ALLOCATION.itemsize)
        if rest or rows != samples:
            raise _Damaged(f"its allocation table has {rows} rows and {rest} bytes more instead of {samples} rows")
        return found, self._read(_ALLOCATION, table_begin, rows, "allocation table"), begin

    def _read(self, kind: np.dtype[np.void], at: int, count: int, name: str) -> NDArray[np.void]:
        if count * kind.itemsize > len(self.content) - at:
            raise _Damaged(f"its {len(self.content)} bytes have no room for its {name}")
        return np.frombuffer(self.content, kind, count, at)

    def _check_pictures(self) -> None:
        pixels = self.heights * self.widths
        raw = self.modes == RAW
        for wrong, what in (
            (~raw & (self.modes != JPG), "is stored in no known mode"),
            (pixels == 0, "has no pixels"),
            (raw & (self.sizes != 3 * pixels), "has another number of bytes than pixels of its height and width"),
            (~raw & (pixels > _MOST_PIXELS_A_BYTE * self.sizes), "has too few bytes for a JPEG of its height and width"),
            (self.labels < 0, "has a negative label"),
        ):
            _refuse(wrong, what)


def _mapped(path: Path) -> NDArray[np.uint8]:
    try:
        if not path.is_file():
            raise BenchError(f"{path} is no file")
        if path.stat().st_size == 0:
            raise BenchError(f"{path} is no .beton file of pictures and labels: it is empty")
        return np.memmap(path, "uint8", mode="r").view(np.ndarray)
    except OSError as error:
        raise BenchError(f"{path} cannot be read: {error.strerror or error}") from error


def _places(
    wanted: NDArray[np.uint64], table: NDArray[Any], first: int, end: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where the pictures begin and how many bytes they have: the rows of the table for them, between `first` and `end`."""
    begins, sizes = table["begin"], table["size"]
    if not np.array_equal(begins, wanted):  # as they are written they lie in order
        order = np.argsort(begins, kind="stable")
        found = order[np.minimum(np.searchsorted(begins, wanted, sorter=order), len(order) - 1)]
        begins, sizes = begins[found], sizes[found]
    _refuse(begins != wanted, "is not in the allocation table")
    _refuse((begins < first) | (begins > end) | (sizes == 0), "lies outside the file's pictures")
    _refuse(sizes > np.uint64(end) - begins, "goes beyond the file's pictures")
    return begins.astype(np.int64), sizes.astype(np.int64)


def _refuse(wrong: NDArray[np.bool_], what: str) -> None:
    if wrong.any():
        raise _Damaged(f"picture {int(wrong.argmax())} {what}")
