"""Write a dataset as .beton files with ffcv, by one thread: ffcv's workers die silently and the writer waits for ever.

Pictures are read and encoded by several threads ahead of it, which changes nothing of what is written.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slt_bench.common.errors import BenchError
from slt_bench.common.files import atomic, exclusive, sha256, write_text
from slt_bench.common.random import Purpose
from slt_bench.data.beton import BetonFile
from slt_bench.data.encode import Encoded, estimate, page_for
from slt_bench.data.manifest import FILES, FileManifest, Manifest, data_digest, described
from slt_bench.data.prefetch import ahead
from slt_bench.data.sources.registry import ImageSet, Split, balanced_indices, load_images
from slt_bench.data.stored import Stored
from slt_bench.data.writer import SerialWriter
from slt_bench.params.datasets import Images


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
        files = {"train": Encoded(train, images, "train"), "test": Encoded(test, images, "test")}
        _check_space(list(files.values()), directory)
        (directory / "manifest.json").unlink(missing_ok=True)
        entries = {name: _write_and_verify(files[name], image_set, directory / f"{name}.beton", workers) for name in FILES}
        manifest = Manifest(
            images=described(images),
            classes=image_set.classes,
            files=entries,
            held_out=held_out.tolist(),
            digest=data_digest(image_set.classes, entries, held_out.tolist()),
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


def _check_space(parts: Sequence[Encoded], directory: Path) -> None:
    needed = (64 << 20) + estimate(parts)
    free = shutil.disk_usage(directory).free
    if free < needed:
        raise BenchError(f"no space for {directory}: about {needed >> 20} MiB are needed, {free >> 20} MiB are free")


class _PageTooSmall(Exception):
    """An image needs a larger page."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.size = size


def _write_and_verify(part: Encoded, image_set: ImageSet, path: Path, workers: int) -> FileManifest:
    page = part.page
    while True:
        try:
            return _write_in_pages(part, image_set, path, workers, page)
        except _PageTooSmall as needed:  # pixels of a picture that could not be stored as its file, which was smaller
            page = page_for(needed.size)


def _write_in_pages(part: Encoded, image_set: ImageSet, path: Path, workers: int, page: int) -> FileManifest:
    labels, shapes, hasher = part.split.labels, set(), hashlib.sha256()

    def told() -> Iterator[Stored]:
        encoded = ahead(part.__getitem__, range(len(part)), workers, part.most_waiting(workers, page))
        for number, (stored, label) in enumerate(zip(encoded, labels, strict=True)):
            part.check(stored, number)
            if stored.data.nbytes > page:
                raise _PageTooSmall(stored.data.nbytes)
            _add(hasher, (stored.mode, stored.height, stored.width), int(label), stored.data)
            shapes.add((stored.height, stored.width))
            yield stored

    with atomic(path) as temporary:
        SerialWriter(str(temporary), told(), labels, page).write()
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
