"""ffcv's writer, with one thread and for pictures that are encoded already."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from slt_bench.data.ffcv_patch import DatasetWriter, IntField, RGBImageField
from slt_bench.data.stored import Stored


def _field() -> RGBImageField:
    """ffcv's picture field, for pictures that are encoded already. (A subclass would be another type in the file.)"""

    def encode(destination: Any, image: Stored, malloc: Callable[[int], Any]) -> None:
        destination["mode"], destination["height"], destination["width"] = image.mode, image.height, image.width
        destination["data_ptr"], memory = malloc(image.data.nbytes)
        memory[:] = image.data

    field = RGBImageField()
    field.encode = encode
    return field


class SerialWriter(DatasetWriter):  # type: ignore[misc]
    """ffcv's writer without worker processes: the same file every time, and errors that surface."""

    def __init__(self, path: str, pictures: Iterator[Stored], labels: NDArray[np.int64], page: int) -> None:
        super().__init__(path, {"image": _field(), "label": IntField()}, page, num_workers=1)
        self.pictures, self.labels = pictures, labels

    def write(self) -> None:
        """Write all."""
        from ffcv.memory_allocator import MemoryAllocator  # here: ffcv_patch must be the first to import ffcv
        from ffcv.writer import handle_sample

        self.num_samples = len(self.labels)
        self.prepare()
        shared: Any = vars(self)["metadata_sm"]  # made for the worker processes that there are not
        shared.close()
        shared.unlink()
        self.metadata_sm = SimpleNamespace(buf=bytearray(self.num_samples * self.metadata_type.itemsize))
        metadata = np.frombuffer(self.metadata_sm.buf, dtype=self.metadata_type)
        allocator = MemoryAllocator(self.fname, self.data_region_start, self.page_size)
        often = 0.1 if sys.stderr.isatty() else 60
        bar = tqdm(total=len(self.labels), desc=Path(self.fname).name.split(".")[1], unit="image", delay=5, mininterval=often)
        with allocator, bar:
            for number, (picture, label) in enumerate(zip(self.pictures, self.labels, strict=True)):
                handle_sample((picture, label), number, metadata.dtype.names, metadata, allocator, self.fields)
                bar.update()
        self.finalize(allocator.allocations)
