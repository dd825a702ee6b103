"""A .beton file in memory, part by part, so that tests can forge each of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from slt_bench.data.beton import ALLOCATION, FIELD, HEADER, JPG, SAMPLE
from slt_bench.data.encode import EncodedImage, encode_image
from tests.toys_images import JPEGS, PIXELS, photo


class TinyBeton:
    """What `prepare` writes, without pages: they would make megabytes of a few pictures.

    Attributes:
        header, fields, samples, table: structured arrays as they lie in the file.
        content: of the pictures, between samples and table.
    """

    def __init__(self, pictures: Sequence[EncodedImage], labels: Sequence[int]) -> None:
        self.header, self.fields = np.zeros(1, HEADER), np.zeros(2, FIELD)
        self.samples, self.table = np.zeros(len(pictures), SAMPLE), np.zeros(len(pictures), ALLOCATION)
        self.content = b"".join(picture.data.tobytes() for picture in pictures)
        begin = self.header.nbytes + self.fields.nbytes + self.samples.nbytes
        self.header[0] = (2, 2, 1 << 21, len(pictures), begin + len(self.content))
        self.fields["type"] = (2, 1)
        self.samples["label"] = labels
        for number, each in enumerate(pictures):
            self.samples["picture"][number] = (each.mode, each.width, each.height, begin)
            self.table[number] = (number, begin, each.data.size)
            begin += each.data.size

    def tobytes(self) -> bytes:
        """The whole file."""
        before = b"".join(part.tobytes() for part in (self.header, self.fields, self.samples))
        return before + self.content + self.table.tobytes()

    def write(self, path: Path) -> Path:
        """Write it as a new file: an old one may still be mapped into memory."""
        path.unlink(missing_ok=True)
        path.write_bytes(self.tobytes())
        return path


def tiny_beton(pictures: Sequence[tuple[int, int, int]]) -> TinyBeton:
    """Make a file of photographs from their mode, height and width, each with a label of its own."""
    encoded = [
        encode_image(photo(height, width, number), JPEGS if mode == JPG else PIXELS, mode == JPG)
        for number, (mode, height, width) in enumerate(pictures)
    ]
    return TinyBeton(encoded, range(len(encoded)))
