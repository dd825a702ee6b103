"""The images of a split as they are stored, one by one, and what they need of a .beton file."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from slt_bench.common.errors import BenchError
from slt_bench.data.beton import JPG
from slt_bench.data.sources.pictures import name_of
from slt_bench.data.sources.registry import Files, Split
from slt_bench.data.stored import Stored, store, store_as_it_is, stored_as_jpeg
from slt_bench.params.datasets import Images

SMALLEST_PAGE, _LARGEST_PAGE = 8 << 20, 256 << 20  # ffcv's own, and the pixels that Pillow opens without a warning
_WAITING = 1 << 30  # bytes of encoded images that may wait for the writer
_LONGEST_SIDE = 65_535  # what the format can say
_TRIED = 200  # images that are encoded to estimate how much space all of them take


class Encoded:
    """Images of a split as they are stored.

    Those of a test, and those of train with write_mode original, are stored as they are in their files: an evaluation is to
    see what everybody else evaluates on.

    Args:
        split: the images.
        images: how they are stored.
        name: train or test.
    """

    def __init__(self, split: Split, images: Images, name: str) -> None:
        self.split, self.images, self.name = split, images, name
        self.originals = split if isinstance(split, Files) and split.size is None else None
        if name != "test" and images.write_mode != "original":
            self.originals = None
        self.as_jpeg = stored_as_jpeg(images, len(split.labels)) & (name != "test")

    def __len__(self) -> int:
        return len(self.split.labels)

    def __getitem__(self, index: int) -> Stored:
        if self.originals is not None:
            return store_as_it_is(self.originals.pictures[index])
        picture = self.split[index]
        try:
            return store(picture, self.images, bool(self.as_jpeg[index]))
        except BenchError as error:
            raise BenchError(f"{self.name_of(index)}: {error}") from error

    def name_of(self, index: int) -> str:
        """For a message."""
        return name_of(self.split.pictures[index]) if isinstance(self.split, Files) else f"{self.name}, number {index}"

    @cached_property
    def page(self) -> int:
        """Bytes of a page of the file: no image may be larger; from the sizes of the files that are stored as they are."""
        if self.originals is None:
            return SMALLEST_PAGE
        return min(page_for(max(picture.nbytes() for picture in self.originals.pictures)), _LARGEST_PAGE)

    def check(self, stored: Stored, index: int) -> None:
        """Refuse an image, by name, that no .beton file can hold."""
        most = SMALLEST_PAGE if self.originals is None else _LARGEST_PAGE
        if stored.data.nbytes > most or max(stored.height, stored.width) > _LONGEST_SIDE:
            raise BenchError(
                f"{self.name_of(index)}: an image of {stored.width} x {stored.height} pixels is too large for a .beton file as "
                f"{'JPEG' if stored.mode == JPG else 'pixels'}: "
                f"{'shrink or remove it' if self.originals is not None else 'give the dataset a max_resolution'}"
            )

    def most_waiting(self, workers: int, page: int) -> int:
        """How many encoded images may wait for the writer."""
        return max(workers, min(8 * workers, _WAITING // page))


def page_for(size: int) -> int:
    """Bytes of a page that holds so many: a power of two."""
    return max(SMALLEST_PAGE, 1 << (size - 1).bit_length())


def estimate(parts: Sequence[Encoded]) -> int:
    """Bytes that they will take, with a fifth to spare."""
    total = 0.0
    for part in parts:
        tried = np.unique(np.linspace(0, len(part) - 1, min(_TRIED, len(part))).astype(int))
        sizes = [part[index].data.nbytes for index in tried]
        page = max(part.page, page_for(max(sizes)))
        lost = page / max(page - max(sizes), page // 2)  # no image lies across two pages
        total += 1.2 * lost * len(part) * float(np.mean(sizes)) + 2 * (page - SMALLEST_PAGE)
    return int(total)
