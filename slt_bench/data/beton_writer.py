"""A writer of .beton files that uses ffcv's format with one thread, for images that are encoded already."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from slt_bench.data.encode import EncodedImage
from slt_bench.data.ffcv_patch import DatasetWriter, IntField, RGBImageField


def _encoded_field() -> RGBImageField:
    """Return ffcv's image field with an `encode` that copies encoded images (a subclass would be another type in the file)."""

    def encode(destination: Any, image: EncodedImage, malloc: Callable[[int], Any]) -> None:
        """Fill in an image's sample, and copy its bytes into memory of the file."""
        destination["mode"], destination["height"], destination["width"] = image.mode, image.height, image.width
        destination["data_ptr"], memory = malloc(image.data.nbytes)
        memory[:] = image.data

    field = RGBImageField()
    field.encode = encode
    return field


class BetonWriter(DatasetWriter):  # type: ignore[misc]
    """ffcv's writer without its worker processes, which die silently while the writer waits for ever.

    The file is the same every time, and errors reach the caller.

    Args:
        path: the file to write, named .NAME.PID.tmp.
        images: the encoded images, in order.
        labels: int64[n], one for each image.
        page: bytes of a page, a power of two; no image may be larger.
    """

    def __init__(self, path: Path, images: Iterator[EncodedImage], labels: NDArray[np.int64], page: int) -> None:
        super().__init__(str(path), {"image": _encoded_field(), "label": IntField()}, page, num_workers=1)
        self.images, self.labels = images, labels

    def write(self) -> None:
        """Write all images and labels, with a progress bar if that takes long."""
        from ffcv.memory_allocator import MemoryAllocator  # here: ffcv_patch must be the first to import ffcv
        from ffcv.writer import handle_sample

        self.num_samples = len(self.labels)
        self.prepare()
        shared: Any = vars(self)["metadata_sm"]  # memory for the worker processes that do not exist
        shared.close()
        shared.unlink()
        self.metadata_sm = SimpleNamespace(buf=bytearray(self.num_samples * self.metadata_type.itemsize))
        metadata = np.frombuffer(self.metadata_sm.buf, dtype=self.metadata_type)
        allocator = MemoryAllocator(self.fname, self.data_region_start, self.page_size)
        interval = 0.1 if sys.stderr.isatty() else 60
        name = Path(self.fname).name.split(".")[1]
        progress = tqdm(total=len(self.labels), desc=name, unit="image", delay=5, mininterval=interval)
        with allocator, progress:
            for number, (image, label) in enumerate(zip(self.images, self.labels, strict=True)):
                handle_sample((image, label), number, metadata.dtype.names, metadata, allocator, self.fields)
                progress.update()
        self.finalize(allocator.allocations)
