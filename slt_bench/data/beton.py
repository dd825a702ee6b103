"""The layout of a .beton file and a reader that checks it: ffcv 1.0.2's format, version 2, with an image and a label.

ffcv reads the format too, but importing ffcv takes longer than the first epoch of a short search, and it is not to be had on
every machine. Nor does ffcv check anything. Here every count, offset and size is checked, since compiled code reads memory
where they say.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slt_bench.common.errors import BenchError

HEADER = np.dtype(
    [("version", "<u2"), ("fields", "<u2"), ("page", "<u4"), ("samples", "<u8"), ("allocations", "<u8")], align=True
)
FIELD = np.dtype([("type", "<u1"), ("name", "<u1", 16), ("arguments", "<u1", 1024)], align=True)
_PICTURE = np.dtype([("mode", "<u1"), ("width", "<u2"), ("height", "<u2"), ("begin", "<u8")])
SAMPLE = np.dtype([("picture", _PICTURE), ("label", "<i8")], align=True)
ALLOCATION = np.dtype([("sample", "<u8"), ("begin", "<u8"), ("size", "<u8")])
_VERSION = 2
_PICTURE_AND_LABEL = [2, 1]  # as ffcv numbers the types of fields
JPG, RAW = 0, 1  # and the modes of a picture
LONGEST_SIDE = 65_535  # pixels, since sides have 16 bits
_MOST_PIXELS_A_BYTE = 512  # of a JPEG: the Huffman code of a block of 64 takes a bit at least


class _Damaged(Exception):
    """The file holds something that the format does not allow; the message says what."""


class BetonFile:
    """The offsets, sizes and labels of the pictures in one .beton file; the pictures themselves stay on disk.

    Args:
        path: the file.

    Attributes:
        content: uint8[bytes of the file], mapped into memory.
        modes: int64[n], n >= 1, of each picture JPG or RAW.
        heights: int64[n], in pixels, at least 1.
        widths: int64[n], in pixels, at least 1.
        begins: int64[n], offset of each picture's first byte.
        sizes: int64[n], bytes of each picture; all lie inside the file, and a RAW picture has three bytes a pixel.
        labels: int64[n], none negative.

    Raises:
        BenchError: the file is missing, unreadable, damaged or no .beton file.
    """

    def __init__(self, path: Path) -> None:
        self.content = _map_into_memory(path)
        try:
            samples, table, data_begin = self._read_tables()
            picture = samples["picture"]
            self.modes, self.heights, self.widths = (picture[name].astype(np.int64) for name in ("mode", "height", "width"))
            self.labels = samples["label"].astype(np.int64)
            self.begins, self.sizes = _locate(picture["begin"], table, data_begin, len(self.content) - table.nbytes)
            self._check_pictures()
        except _Damaged as error:
            raise BenchError(f"{path} is no .beton file of pictures and labels, or a damaged one: {error}") from None

    def __len__(self) -> int:
        """Return the number of pictures."""
        return len(self.labels)

    @property
    def image_size(self) -> int | None:
        """The side in pixels of all pictures; None where they are not squares of one size."""
        sides = {int(side) for sides in (self.heights, self.widths) for side in (sides.min(), sides.max())}
        return sides.pop() if len(sides) == 1 else None

    def bytes_of(self, number: int) -> NDArray[np.uint8]:
        """Return a picture as it is stored: uint8[bytes]."""
        return self.content[self.begins[number] : self.begins[number] + self.sizes[number]]

    def _read_tables(self) -> tuple[NDArray[Any], NDArray[Any], int]:
        """Read the samples, the allocation table and the offset at which the pictures between them begin.

        Raises:
            _Damaged: a count or an offset does not fit the file.
        """
        header = self._read(HEADER, 0, 1, "header")[0]
        version, fields, count = (int(header[name]) for name in ("version", "fields", "samples"))
        if version != _VERSION or fields != len(_PICTURE_AND_LABEL):
            raise _Damaged(
                f"it has version {version} and {fields} fields instead of version {_VERSION} and {len(_PICTURE_AND_LABEL)}"
            )
        types = self._read(FIELD, HEADER.itemsize, fields, "fields")["type"].tolist()
        if types != _PICTURE_AND_LABEL:
            raise _Damaged(f"its fields have the types {types} instead of {_PICTURE_AND_LABEL}")
        if not count:
            raise _Damaged("it holds no picture")
        samples_begin = HEADER.itemsize + fields * FIELD.itemsize
        samples = self._read(SAMPLE, samples_begin, count, f"{count} samples")
        table_begin, begin = int(header["allocations"]), samples_begin + samples.nbytes
        if not begin <= table_begin <= len(self.content):
            raise _Damaged(f"its allocation table begins at {table_begin}, outside the file's {begin} to {len(self.content)}")
        rows, rest = divmod(len(self.content) - table_begin, ALLOCATION.itemsize)
        if rest or rows != count:
            raise _Damaged(f"its allocation table has {rows} rows and {rest} bytes more instead of {count} rows")
        return samples, self._read(ALLOCATION, table_begin, rows, "allocation table"), begin

    def _read(self, kind: np.dtype[np.void], begin: int, count: int, name: str) -> NDArray[np.void]:
        """Read records of the file.

        Args:
            kind: layout of a record.
            begin: offset of the first one.
            count: how many there are.
            name: what the message calls them.

        Returns:
            kind[count], mapped into memory.

        Raises:
            _Damaged: the file is too short.
        """
        if count * kind.itemsize > len(self.content) - begin:
            raise _Damaged(f"its {len(self.content)} bytes have no room for its {name}")
        return np.frombuffer(self.content, kind, count, begin)

    def _check_pictures(self) -> None:
        """Refuse modes, sizes and labels that compiled code could not trust."""
        pixels = self.heights * self.widths
        raw = self.modes == RAW
        for is_wrong, fault in (
            (~raw & (self.modes != JPG), "is stored in no known mode"),
            (pixels == 0, "has no pixels"),
            (raw & (self.sizes != 3 * pixels), "has another number of bytes than pixels of its height and width"),
            (~raw & (pixels > _MOST_PIXELS_A_BYTE * self.sizes), "has too few bytes for a JPEG of its height and width"),
            (self.labels < 0, "has a negative label"),
        ):
            _refuse(is_wrong, fault)


def _map_into_memory(path: Path) -> NDArray[np.uint8]:
    """Map a file into memory: uint8[bytes], at least one."""
    try:
        if not path.is_file():
            raise BenchError(f"{path} is no file")
        if path.stat().st_size == 0:
            raise BenchError(f"{path} is no .beton file of pictures and labels: it is empty")
        return np.memmap(path, "uint8", mode="r").view(np.ndarray)
    except OSError as error:
        raise BenchError(f"{path} cannot be read: {error.strerror or error}") from error


def _locate(
    wanted: NDArray[np.uint64], table: NDArray[Any], first: int, end: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Find the allocation of each picture.

    Args:
        wanted: uint64[n], offset of each picture, as its sample says.
        table: ALLOCATION[n], in any order.
        first: offset of the first byte that may belong to a picture.
        end: offset behind the last such byte.

    Returns:
        Offset and size in bytes of each picture, int64[n] each, all between `first` and `end`.

    Raises:
        _Damaged: a picture has no allocation, or one outside of these bounds.
    """
    begins, sizes = table["begin"], table["size"]
    if not np.array_equal(begins, wanted):  # the writer leaves them in order, so that this is rare
        order = np.argsort(begins, kind="stable")
        rows = order[np.minimum(np.searchsorted(begins, wanted, sorter=order), len(order) - 1)]
        begins, sizes = begins[rows], sizes[rows]
    _refuse(begins != wanted, "is not in the allocation table")
    _refuse((begins < first) | (begins > end) | (sizes == 0), "lies outside the file's pictures")
    _refuse(sizes > np.uint64(end) - begins, "goes beyond the file's pictures")
    return begins.astype(np.int64), sizes.astype(np.int64)


def _refuse(is_wrong: NDArray[np.bool_], fault: str) -> None:
    """Raise `_Damaged` with the number of the first picture that is wrong, if any is."""
    if is_wrong.any():
        raise _Damaged(f"picture {int(is_wrong.argmax())} {fault}")
