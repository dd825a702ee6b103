"""A check that a .beton file holds the bytes and images that its manifest lists."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np

from slt_bench.common.errors import BenchError
from slt_bench.common.files import sha256, write_text
from slt_bench.data.beton import BetonFile
from slt_bench.data.manifest import FileManifest, FileName, Manifest, read_if_possible


def verify_file(directory: Path, name: FileName, manifest: Manifest) -> Path:
    """Make sure that a .beton file has the bytes that were written.

    A file that was found whole is not read again until its size, the time of its last change or the manifest differ: the
    real ImageNet takes minutes to read.

    Args:
        directory: of the dataset.
        name: of the file.
        manifest: of the dataset.

    Returns:
        The path of the file.

    Raises:
        BenchError: the file is missing, truncated or changed, or holds other images than the manifest lists.
    """
    path, entry = directory / f"{name}.beton", manifest.files[name]
    fix = f"delete it, then `slt-bench prepare {directory.name}`"
    try:
        state = path.stat()
        if state.st_size != entry.bytes:
            raise BenchError(f"{path} has {state.st_size} bytes instead of {entry.bytes}: {fix}")
        stamp = f"{manifest.digest} {entry.sha256} {state.st_mtime_ns} {state.st_ino}"
        if read_if_possible(directory / f".{name}.verified") == stamp.encode():
            return path
        if sha256(path) != entry.sha256:
            raise BenchError(f"{path} is damaged, its bytes have changed: {fix}")
    except FileNotFoundError:
        raise BenchError(f"{path} is missing: `slt-bench prepare {directory.name}`") from None
    except OSError as error:
        raise BenchError(f"{path} cannot be read ({error.strerror}): {fix}") from error
    if difference := _difference(BetonFile(path), entry):
        raise BenchError(f"{directory / 'manifest.json'} does not fit {path} ({difference}): {fix}")
    with suppress(BenchError):  # a directory that one may only read
        write_text(directory / f".{name}.verified", stamp)
    return path


def _difference(file: BetonFile, entry: FileManifest) -> str | None:
    """Describe the first difference between a file's header and its entry in the manifest; None if they agree."""
    classes = len(entry.per_class)
    if len(file) != entry.images:
        return f"{len(file)} images instead of {entry.images}"
    if (largest := int(file.labels.max())) >= classes:
        return f"label {largest} of {classes} classes"
    if np.bincount(file.labels, minlength=classes).tolist() != entry.per_class:
        return "other numbers of images per class"
    if file.image_size != entry.image_size:
        return f"image size {file.image_size} instead of {entry.image_size}"
    return None
