"""Write a dataset as .beton files with ffcv, in one process: ffcv's workers die silently and the writer waits for ever."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from tqdm import tqdm

from slt_bench.checkpoint import atomic, exclusive, write_text
from slt_bench.data.ffcv_mended import DatasetWriter, IntField, RGBImageField
from slt_bench.data.image_sources import ImageSet, Split, balanced_indices, load_images
from slt_bench.data.loader import read_split
from slt_bench.data.manifest import SPLITS, Manifest, SplitManifest, SplitName, described
from slt_bench.errors import BenchError
from slt_bench.params.images import Images
from slt_bench.streams import Purpose


def prepare(images: Images, directory: Path) -> Manifest:
    """Load a source, split it and write train, val and test.beton, origin.txt and manifest.json into `directory`.

    Every file is read back and compared before the manifest says that it is there.

    Raises:
        BenchError: unusable source, no space, another process writing the same dataset.
    """
    image_set = load_images(images)
    splits = divide(image_set, images)
    with exclusive(directory):
        _check_space(splits, directory)
        (directory / "manifest.json").unlink(missing_ok=True)
        entries = {name: _write_and_verify(splits[name], image_set, directory / f"{name}.beton") for name in SPLITS}
        manifest = Manifest(
            images=described(images),
            classes=image_set.classes,
            image_size=image_set.train.images.shape[1],
            splits=entries,
            digest=hashlib.sha256("".join(entry.digest for entry in entries.values()).encode()).hexdigest(),
            written_by={name: version(name) for name in ("ffcv", "numpy", "pillow")},
        )
        write_text(directory / "origin.txt", image_set.origin + "\n")
        write_text(directory / "manifest.json", manifest.model_dump_json(indent=1) + "\n")
    return manifest


def divide(image_set: ImageSet, images: Images) -> dict[SplitName, Split]:
    """Class-balanced subsets of train and test, and a class-balanced share of train as validation."""
    train = _subset(image_set.train, images.train_images, "train", images.seed, "subset")
    test = _subset(image_set.test, images.test_images, "test", images.seed, "test-subset")
    held_out = round(images.validation * len(train.labels))
    if not 0 < held_out < len(train.labels):
        raise BenchError(f"validation {images.validation} of {len(train.labels)} images leaves train or val empty")
    val = balanced_indices(train.labels, held_out, images.seed, "split")
    rest = np.setdiff1d(np.arange(len(train.labels)), val)
    return {"train": train.take(rest), "val": train.take(val), "test": test}


def _subset(split: Split, count: int | None, name: str, seed: int, purpose: Purpose) -> Split:
    if count is None:
        return split
    if count > len(split.labels):
        raise BenchError(f"{name}_images asks for {count} images, the source has {len(split.labels)}")
    return split.take(balanced_indices(split.labels, count, seed, purpose))


def digest(split: Split) -> str:
    """SHA-256 of the pixels and labels, in order."""
    hasher = hashlib.sha256(np.ascontiguousarray(split.images).tobytes())
    hasher.update(split.labels.astype("<i8").tobytes())
    return hasher.hexdigest()


def _check_space(splits: dict[SplitName, Split], directory: Path) -> None:
    needed = sum(split.images.nbytes for split in splits.values()) * 5 // 4 + (64 << 20)
    free = shutil.disk_usage(directory).free
    if free < needed:
        raise BenchError(f"no space for {directory}: about {needed >> 20} MiB are needed, {free >> 20} MiB are free")


def _write_and_verify(split: Split, image_set: ImageSet, path: Path) -> SplitManifest:
    with atomic(path) as temporary:
        writer = _SerialWriter(str(temporary), {"image": RGBImageField(write_mode="raw"), "label": IntField()})
        writer.from_indexed_dataset(list(zip(split.images, split.labels, strict=True)))
        if digest(read_split(temporary)) != digest(split):
            raise BenchError(f"what was written to {path} reads back differently: is the disk full or failing?")
        content = temporary.read_bytes()
    return SplitManifest(
        images=len(split.labels),
        per_class=np.bincount(split.labels, minlength=len(image_set.classes)).tolist(),
        digest=digest(split),
        sha256=hashlib.sha256(content).hexdigest(),
        bytes=len(content),
    )


class _SerialWriter(DatasetWriter):  # type: ignore[misc]
    """ffcv's writer without worker processes: the same file every time, and errors that surface."""

    def __init__(self, path: str, fields: dict[str, Any]) -> None:
        super().__init__(path, fields, num_workers=1)

    def _write_common(
        self, num_samples: int, chunks: Sequence[Any], work: Callable[..., None], arguments: tuple[Any, ...]
    ) -> None:
        from ffcv.memory_allocator import MemoryAllocator  # here: ffcv_mended must be the first to import ffcv
        from ffcv.writer import handle_sample

        (dataset,) = arguments
        self.num_samples = num_samples
        self.prepare()
        shared: Any = vars(self)["metadata_sm"]  # made for the worker processes that there are not
        shared.close()
        shared.unlink()
        self.metadata_sm = SimpleNamespace(buf=bytearray(num_samples * self.metadata_type.itemsize))
        metadata = np.frombuffer(self.metadata_sm.buf, dtype=self.metadata_type)
        allocator = MemoryAllocator(self.fname, self.data_region_start, self.page_size)
        split = Path(self.fname).name.split(".")[1]
        with allocator, tqdm(total=num_samples, desc=split, unit="image", leave=False, disable=None) as bar:
            for chunk in chunks:
                for destination, index in chunk:
                    sample = dataset[index]
                    handle_sample(sample, destination, metadata.dtype.names, metadata, allocator, self.fields)
                bar.update(len(chunk))
        self.finalize(allocator.allocations)
