"""The encoded images of a whole split, and the page size and disk space that they need in a .beton file."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from slt_bench.common.errors import BenchError
from slt_bench.data.beton import JPG, LONGEST_SIDE
from slt_bench.data.encode import EncodedImage, encode_image, encode_original, stored_as_jpeg
from slt_bench.data.manifest import FileName
from slt_bench.data.sources.pictures import name_of
from slt_bench.data.sources.splits import Files, Split
from slt_bench.params.datasets import Images

SMALLEST_PAGE, _LARGEST_PAGE = 8 << 20, 256 << 20  # ffcv's own, and the pixels that Pillow opens without a warning
_WAITING = 1 << 30  # bytes of encoded images that may wait for the writer
_SAMPLED = 200  # images that are encoded to estimate how much space all of them take


class EncodedSplit:
    """The images of a split, encoded one by one as they are asked for.

    Test images of any size, and with write_mode original training images too, are stored as they are in their files: an
    evaluation has to see what everybody else evaluates on.

    Args:
        split: the images of the source.
        images: the dataset's parameters, which say how images are stored.
        name: the .beton file that the images go to.
    """

    def __init__(self, split: Split, images: Images, name: FileName) -> None:
        self.split, self.images, self.name = split, images, name
        keeps_originals = name == "test" or images.write_mode == "original"
        self.originals = split if keeps_originals and isinstance(split, Files) and split.size is None else None
        self.as_jpeg = stored_as_jpeg(images, len(split.labels)) & (name != "test")

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.split.labels)

    def __getitem__(self, index: int) -> EncodedImage:
        """Encode an image.

        Raises:
            BenchError: the image cannot be read, decoded or encoded; the message names it.
        """
        if self.originals is not None:
            return encode_original(self.originals.pictures[index])
        pixels = self.split[index]
        try:
            return encode_image(pixels, self.images, bool(self.as_jpeg[index]))
        except BenchError as error:
            raise BenchError(f"{self.name_of(index)}: {error}") from error

    def name_of(self, index: int) -> str:
        """Name an image in a message: by its file if it has one."""
        return name_of(self.split.pictures[index]) if isinstance(self.split, Files) else f"{self.name}, number {index}"

    @cached_property
    def page(self) -> int:
        """The bytes of a page of the .beton file, which no image may exceed, as file sizes alone suggest it.

        Original files may be larger than ffcv's smallest page. Their pixels may be larger still: whoever writes the file
        finds out and takes a larger page.
        """
        if self.originals is None:
            return SMALLEST_PAGE
        return min(page_for(max(picture.nbytes() for picture in self.originals.pictures)), _LARGEST_PAGE)

    def check(self, image: EncodedImage, index: int) -> None:
        """Refuse an image that no .beton file can hold.

        Args:
            image: the encoded image.
            index: its number in the split.

        Raises:
            BenchError: the image has too many bytes or pixels; the message names it.
        """
        most = SMALLEST_PAGE if self.originals is None else _LARGEST_PAGE
        if image.data.nbytes > most or max(image.height, image.width) > LONGEST_SIDE:
            raise BenchError(
                f"{self.name_of(index)}: an image of {image.width} x {image.height} pixels is too large for a .beton file as "
                f"{'JPEG' if image.mode == JPG else 'pixels'}: "
                f"{'shrink or remove it' if self.originals is not None else 'give the dataset a max_resolution'}"
            )

    def most_waiting(self, workers: int, page: int) -> int:
        """Limit how many encoded images may wait for the writer, so that they fit into memory.

        Args:
            workers: threads that encode.
            page: largest size of an encoded image, in bytes.

        Returns:
            A number of images, at least one a worker.
        """
        return max(workers, min(8 * workers, _WAITING // page))


def page_for(size: int) -> int:
    """Return the smallest page, a power of two, that holds an image of `size` bytes."""
    return max(SMALLEST_PAGE, 1 << (size - 1).bit_length())


def estimate_bytes(splits: Sequence[EncodedSplit]) -> int:
    """Estimate the disk space of .beton files from a sample of their images, with a fifth to spare.

    Args:
        splits: one for each file.

    Returns:
        Bytes of all files together.
    """
    total = 0.0
    for split in splits:
        sampled = np.unique(np.linspace(0, len(split) - 1, min(_SAMPLED, len(split))).astype(int))
        sizes = [split[index].data.nbytes for index in sampled]
        page = max(split.page, page_for(max(sizes)))
        unused = page / max(page - max(sizes), page // 2)  # at the end of each page: no image lies across two
        total += 1.2 * unused * len(split) * float(np.mean(sizes)) + 2 * (page - SMALLEST_PAGE)
    return int(total)
