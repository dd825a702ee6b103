"""Preparation of a dataset: from the images of its source to .beton files and the manifest that describes them.

One thread writes. Others read and encode images ahead of it, which changes nothing of what is written.
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
from slt_bench.data.beton_writer import BetonWriter
from slt_bench.data.encode import EncodedImage
from slt_bench.data.encoded_split import EncodedSplit, estimate_bytes, page_for
from slt_bench.data.manifest import FILES, FileManifest, Manifest, data_digest, described
from slt_bench.data.prefetch import prefetch
from slt_bench.data.sources.registry import load_images
from slt_bench.data.sources.splits import Split, balanced_indices
from slt_bench.params.datasets import Images

_RESERVE = 64 << 20  # bytes of disk space beyond the estimate


def prepare(images: Images, directory: Path, workers: int = 1) -> Manifest:
    """Write a dataset: train.beton, test.beton, origin.txt and manifest.json.

    Every .beton file is read back and compared before the manifest is written.

    Args:
        images: the source, and how its images are selected, split and stored.
        directory: where the files are written; made if it is missing.
        workers: threads that read and encode.

    Returns:
        The manifest, as it was written.

    Raises:
        BenchError: the source cannot be used, the disk has no space, or another process prepares the same dataset.
    """
    source = load_images(images)
    train = _subset(source.train, images.train_images, "train", images.seed, "subset")
    test = _subset(source.test, images.test_images, "test", images.seed, "test-subset")
    held_out = _held_out(train.labels, images).tolist()
    with exclusive(directory):
        splits = {"train": EncodedSplit(train, images, "train"), "test": EncodedSplit(test, images, "test")}
        _check_space(list(splits.values()), directory)
        (directory / "manifest.json").unlink(missing_ok=True)
        classes = source.classes
        files = {name: _write_and_verify(splits[name], len(classes), directory / f"{name}.beton", workers) for name in FILES}
        manifest = Manifest(
            images=described(images),
            classes=classes,
            files=files,
            held_out=held_out,
            digest=data_digest(classes, files, held_out),
            written_by={name: version(name) for name in ("ffcv", "numpy", "pillow", "opencv-python")},
        )
        write_text(directory / "origin.txt", source.origin + "\n")
        write_text(directory / "manifest.json", manifest.model_dump_json() + "\n")
    return manifest


def _held_out(labels: NDArray[np.int64], images: Images) -> NDArray[np.int64]:
    """Choose a class-balanced share of the training images for validation; their numbers rise."""
    held_out = images.held_out(len(labels))
    if not 0 < held_out < len(labels):
        raise BenchError(f"validation {images.validation} of {len(labels)} images leaves train or val empty")
    return balanced_indices(labels, held_out, images.seed, "split")


def _subset(split: Split, count: int | None, name: str, seed: int, purpose: Purpose) -> Split:
    """Take a class-balanced random subset of a split.

    Args:
        split: the images.
        count: how many to take; None for all.
        name: of the split, for the message.
        seed: of the choice.
        purpose: of the choice.

    Returns:
        The subset, in the order of the split.

    Raises:
        BenchError: the split has fewer images.
    """
    if count is None:
        return split
    if count > len(split.labels):
        raise BenchError(f"{name}_images asks for {count} images, the source has {len(split.labels)}")
    return split.take(balanced_indices(split.labels, count, seed, purpose))


def _check_space(splits: Sequence[EncodedSplit], directory: Path) -> None:
    """Refuse to begin where the disk has less free space than the files are estimated to take."""
    needed = _RESERVE + estimate_bytes(splits)
    free = shutil.disk_usage(directory).free
    if free < needed:
        raise BenchError(f"no space for {directory}: about {needed >> 20} MiB are needed, {free >> 20} MiB are free")


class _PageTooSmall(Exception):
    """An encoded image has more bytes than a page of the file."""

    def __init__(self, size: int) -> None:
        """Keep the size of the image, in bytes."""
        super().__init__(size)
        self.size = size


def _write_and_verify(split: EncodedSplit, classes: int, path: Path, workers: int) -> FileManifest:
    """Write a .beton file with pages that are as large as its images need, and compare what was written.

    Args:
        split: the images.
        classes: number of classes of the dataset.
        path: the file.
        workers: threads that encode.

    Returns:
        The file's entry in the manifest.

    Raises:
        BenchError: an image cannot be stored, or the file reads back differently.
    """
    page = split.page
    while True:
        try:
            return _write_in_pages(split, classes, path, workers, page)
        except _PageTooSmall as error:  # the pixels of a picture that could not be taken over as its file, which was smaller
            page = page_for(error.size)


def _write_in_pages(split: EncodedSplit, classes: int, path: Path, workers: int, page: int) -> FileManifest:
    """Write a .beton file with pages of a fixed size, and compare what was written.

    Args:
        split: the images.
        classes: number of classes of the dataset.
        path: the file.
        workers: threads that encode.
        page: bytes of a page.

    Returns:
        The file's entry in the manifest.

    Raises:
        BenchError: an image cannot be stored, or the file reads back differently.
        _PageTooSmall: an image needs a larger page.
    """
    labels, shapes, hasher = split.split.labels, set(), hashlib.sha256()

    def encoded_images() -> Iterator[EncodedImage]:
        """Yield the images for the writer, checked and noted in digest and shapes."""
        encoded = prefetch(split.__getitem__, range(len(split)), workers, split.most_waiting(workers, page))
        for number, (image, label) in enumerate(zip(encoded, labels, strict=True)):
            split.check(image, number)
            if image.data.nbytes > page:
                raise _PageTooSmall(image.data.nbytes)
            _add_image(hasher, (image.mode, image.height, image.width), int(label), image.data)
            shapes.add((image.height, image.width))
            yield image

    with atomic(path) as temporary:
        BetonWriter(temporary, encoded_images(), labels, page).write()
        if _digest_of_images(temporary) != hasher.hexdigest():
            raise BenchError(f"what was written to {path} reads back differently: is the disk full or failing?")
        whole, size = sha256(temporary), temporary.stat().st_size
    height, width = shapes.pop()
    return FileManifest(
        images=len(labels),
        per_class=np.bincount(labels, minlength=classes).tolist(),
        image_size=height if not shapes and height == width else None,
        digest=hasher.hexdigest(),
        sha256=whole,
        bytes=size,
    )


def _add_image(hasher: Any, mode_and_shape: tuple[int, int, int], label: int, data: NDArray[np.uint8]) -> None:
    """Feed an image to the digest of a file's images.

    Args:
        hasher: from hashlib.
        mode_and_shape: mode, height and width.
        label: the image's class.
        data: uint8[bytes], the image as it is stored.
    """
    hasher.update(np.array([*mode_and_shape, label, data.size], dtype="<i8").tobytes())
    hasher.update(data)


def _digest_of_images(path: Path) -> str:
    """Compute the digest of a file's images, in hex, from the file as it lies on disk."""
    file, hasher = BetonFile(path), hashlib.sha256()
    for number in range(len(file)):
        shape = (int(file.modes[number]), int(file.heights[number]), int(file.widths[number]))
        _add_image(hasher, shape, int(file.labels[number]), file.bytes_of(number))
    return hasher.hexdigest()
