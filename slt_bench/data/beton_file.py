"""The layout of a .beton file, read with numpy alone: ffcv 1.0.2's format, version 2, with a picture and a label.

ffcv reads it too, but its import takes longer than a short search's first epoch and is not to be had everywhere.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from slt_bench.errors import BenchError

_HEADER = np.dtype(
    [("version", "<u2"), ("fields", "<u2"), ("page", "<u4"), ("samples", "<u8"), ("allocations", "<u8")], align=True
)
_FIELD = np.dtype([("type", "<u1"), ("name", "<u1", 16), ("arguments", "<u1", 1024)], align=True)
_PICTURE = np.dtype([("mode", "<u1"), ("width", "<u2"), ("height", "<u2"), ("begin", "<u8")])
_SAMPLE = np.dtype([("picture", _PICTURE), ("label", "<i8")], align=True)
_ALLOCATION = np.dtype([("sample", "<u8"), ("begin", "<u8"), ("size", "<u8")])
_PICTURE_AND_LABEL = [2, 1]  # as ffcv numbers the types of fields
JPG, RAW = 0, 1  # and the modes of a picture


class BetonFile:
    """Where everything lies in one file; its content stays on disk.

    Attributes:
        content: uint8[bytes of the file], mapped into memory.
        modes, heights, widths: of each picture; its mode is JPG or RAW.
        begins, sizes: of each picture's bytes.
        labels: int64[n].

    Raises:
        BenchError: it is no such file.
    """

    def __init__(self, path: Path) -> None:
        try:
            self.content: NDArray[np.uint8] = np.memmap(path, "uint8", mode="r").view(np.ndarray)
            header = self._read(_HEADER, 0, 1)[0]
            fields = self._read(_FIELD, _HEADER.itemsize, int(header["fields"]))
            if header["version"] != 2 or fields["type"].tolist() != _PICTURE_AND_LABEL:
                raise ValueError("other version or fields")
            samples = self._read(_SAMPLE, _HEADER.itemsize + fields.nbytes, int(header["samples"]))
            rest = len(self.content) - int(header["allocations"])
            table = self._read(_ALLOCATION, int(header["allocations"]), rest // _ALLOCATION.itemsize)
        except (ValueError, IndexError) as error:
            raise BenchError(f"{path} is no .beton file of pictures and labels ({error})") from error
        picture = samples["picture"]
        self.modes, self.heights, self.widths, self.begins = (
            picture[name].astype(np.int64) for name in ("mode", "height", "width", "begin")
        )
        table = np.sort(table, order="begin")
        self.sizes = table["size"][np.searchsorted(table["begin"], picture["begin"])].astype(np.int64)
        self.labels = samples["label"].astype(np.int64)

    def __len__(self) -> int:
        """Number of pictures."""
        return len(self.labels)

    def bytes_of(self, number: int) -> NDArray[np.uint8]:
        """A picture as it is stored."""
        return self.content[self.begins[number] : self.begins[number] + self.sizes[number]]

    def _read(self, kind: np.dtype[np.void], at: int, count: int) -> NDArray[np.void]:
        return np.frombuffer(self.content, kind, count, at)
