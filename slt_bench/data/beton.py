"""Write a dataset as .beton files with ffcv, by one thread: ffcv's workers die silently and the writer waits for ever.

Pictures are read and encoded by several threads ahead of it, which changes nothing of what is written.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from slt_bench.checkpoint import atomic, exclusive, write_text
from slt_bench.data.ahead import ahead
from slt_bench.data.beton_file import RAW, BetonFile
from slt_bench.data.ffcv_mended import DatasetWriter, IntField, RGBImageField
from slt_bench.data.image_sources import ImageSet, Split, balanced_indices, load_images
from slt_bench.data.manifest import FILES, FileManifest, Manifest, described
from slt_bench.data.picture_files import sha256
from slt_bench.data.stored import Stored, store, stored_as_jpeg
from slt_bench.errors import BenchError
from slt_bench.params.images import Images
from slt_bench.streams import Purpose

_TRIED = 200  # images that are encoded to estimate how much space all of them take


def prepare(images: Images, directory: Path, workers: int = 1) -> Manifest:
    """Load a source, split it and write train and test.beton, origin.txt and manifest.json into `directory`.

    Every file is read back and compared before the manifest says that it is there.

    Raises:
        BenchError: unusable source, no space, another process writing the same dataset.
    """
    image_set = load_images(images)
    train = _subset(image_set.train, images.train_images, "train", images.seed, "subset")
    test = _subset(image_set.test, images.test_images, "test", images.seed, "test-subset")
    held_out = _held_out(train.labels, images)
    with exclusive(directory):
        files = {"train": _Encoded(train, images), "test": _Encoded(test, images)}
        _check_space(list(files.values()), directory)
        (directory / "manifest.json").unlink(missing_ok=True)
        entries = {name: _write_and_verify(files[name], image_set, directory / f"{name}.beton", workers) for name in FILES}
        content = "".join(entry.digest for entry in entries.values()).encode() + held_out.astype("<i8").tobytes()
        manifest = Manifest(
            images=described(images),
            classes=image_set.classes,
            files=entries,
            held_out=held_out.tolist(),
            digest=hashlib.sha256(content).hexdigest(),
            written_by={name: version(name) for name in ("ffcv", "numpy", "pillow", "opencv-python")},
        )
        write_text(directory / "origin.txt", image_set.origin + "\n")
        write_text(directory / "manifest.json", manifest.model_dump_json() + "\n")
    return manifest


def _held_out(labels: NDArray[np.int64], images: Images) -> NDArray[np.int64]:
    """A class-balanced share of train as validation."""
    held_out = round(images.validation * len(labels))
    if not 0 < held_out < len(labels):
        raise BenchError(f"validation {images.validation} of {len(labels)} images leaves train or val empty")
    return balanced_indices(labels, held_out, images.seed, "split")


def _subset(split: Split, count: int | None, name: str, seed: int, purpose: Purpose) -> Split:
    if count is None:
        return split
    if count > len(split.labels):
        raise BenchError(f"{name}_images asks for {count} images, the source has {len(split.labels)}")
    return split.take(balanced_indices(split.labels, count, seed, purpose))


class _Encoded:
    """Images of a split as they are stored."""

    def __init__(self, split: Split, images: Images) -> None:
        self.split, self.images = split, images
        self.as_jpeg = stored_as_jpeg(images, len(split.labels))

    def __len__(self) -> int:
        return len(self.split.labels)

    def __getitem__(self, index: int) -> Stored:
        return store(self.split[index], self.images, bool(self.as_jpeg[index]))


def _estimate(parts: Sequence[_Encoded]) -> int:
    """Bytes that they will take, with a fifth to spare."""
    total = 0.0
    for part in parts:
        tried = np.unique(np.linspace(0, len(part) - 1, min(_TRIED, len(part))).astype(int))
        total += 1.2 * len(part) * float(np.mean([part[index].data.nbytes for index in tried]))
    return int(total)


def _check_space(parts: Sequence[_Encoded], directory: Path) -> None:
    needed = (64 << 20) + _estimate(parts)
    free = shutil.disk_usage(directory).free
    if free < needed:
        raise BenchError(f"no space for {directory}: about {needed >> 20} MiB are needed, {free >> 20} MiB are free")


def _write_and_verify(part: _Encoded, image_set: ImageSet, path: Path, workers: int) -> FileManifest:
    labels, shapes, hasher = part.split.labels, set(), hashlib.sha256()

    def told() -> Iterator[Stored]:
        for stored, label in zip(ahead(part.__getitem__, range(len(part)), workers, 8 * workers), labels, strict=True):
            _add(hasher, (stored.mode, stored.height, stored.width), int(label), stored.data)
            shapes.add((stored.height, stored.width))
            yield stored

    with atomic(path) as temporary:
        _SerialWriter(str(temporary), told(), labels).write()
        if _digest(temporary) != hasher.hexdigest():
            raise BenchError(f"what was written to {path} reads back differently: is the disk full or failing?")
        whole, size = sha256(temporary), temporary.stat().st_size
    height, width = shapes.pop()
    return FileManifest(
        images=len(labels),
        per_class=np.bincount(labels, minlength=len(image_set.classes)).tolist(),
        image_size=height if not shapes and height == width else None,
        digest=hasher.hexdigest(),
        sha256=whole,
        bytes=size,
    )


def _add(hasher: Any, shape: tuple[int, int, int], label: int, data: NDArray[np.uint8]) -> None:
    hasher.update(np.array([*shape, label, data.size], dtype="<i8").tobytes())
    hasher.update(data)


def _digest(path: Path) -> str:
    """The same from the file."""
    file, hasher = BetonFile(path), hashlib.sha256()
    for number in range(len(file)):
        shape = (int(file.modes[number]), int(file.heights[number]), int(file.widths[number]))
        _add(hasher, shape, int(file.labels[number]), file.bytes_of(number))
    return hasher.hexdigest()


def _field() -> RGBImageField:
    """ffcv's picture field, for pictures that are encoded already. (A subclass would be another type in the file.)"""

    def encode(destination: Any, image: Stored, malloc: Callable[[int], Any]) -> None:
        destination["mode"], destination["height"], destination["width"] = image.mode, image.height, image.width
        destination["data_ptr"], memory = malloc(image.data.nbytes)
        memory[:] = image.data

    field = RGBImageField()
    field.encode = encode
    return field


class _SerialWriter(DatasetWriter):  # type: ignore[misc]
    """ffcv's writer without worker processes: the same file every time, and errors that surface."""

    def __init__(self, path: str, pictures: Iterator[Stored], labels: NDArray[np.int64]) -> None:
        super().__init__(path, {"image": _field(), "label": IntField()}, num_workers=1)
        self.pictures, self.labels = pictures, labels

    def write(self) -> None:
        """Write all."""
        from ffcv.memory_allocator import MemoryAllocator  # here: ffcv_mended must be the first to import ffcv
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
                if picture.data.nbytes > self.page_size:
                    raise BenchError(
                        f"an image of {picture.width} x {picture.height} pixels is too large for a .beton file as "
                        f"{'pixels' if picture.mode == RAW else 'JPEG'}: give the dataset a max_resolution"
                    )
                handle_sample((picture, label), number, metadata.dtype.names, metadata, allocator, self.fields)
                bar.update()
        self.finalize(allocator.allocations)
