"""The manifest of a prepared dataset: what is in its .beton files, how they are split, and that they are whole."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from slt_bench.checkpoint import write_text
from slt_bench.data.picture_files import sha256
from slt_bench.errors import BenchError
from slt_bench.params.base import Model
from slt_bench.params.images import Images

FileName = Literal["train", "test"]
FILES: tuple[FileName, ...] = ("train", "test")
SplitName = Literal["train", "val", "all", "test"]


class FileManifest(Model):
    """One .beton file."""

    images: int
    per_class: list[int]
    image_size: int | None  # side in pixels of its images, None where they are not squares of one size
    digest: str  # SHA-256 of what is stored of each image and its label, in order
    sha256: str  # of the file
    bytes: int


class Manifest(Model):
    """A prepared dataset; the same images give the same manifest."""

    images: dict[str, Any]  # the parameters that it was made with
    classes: list[str]
    files: dict[FileName, FileManifest]
    held_out: list[int]  # of the images in train.beton, the numbers of those that are the split val
    digest: str  # of both files' digests and of held_out
    written_by: dict[str, str]

    def split(self, name: SplitName) -> tuple[FileName, NDArray[np.int64]]:
        """The file that a split lies in, and the numbers of its images there, rising.

        `train` and `val` are two parts of train.beton, `all` is the whole of it.
        """
        if name == "test":
            return "test", np.arange(self.files["test"].images)
        everything, val = np.arange(self.files["train"].images), np.array(self.held_out, dtype=np.int64)
        return "train", {"all": everything, "val": val, "train": np.setdiff1d(everything, val)}[name]

    def counts(self) -> dict[str, int]:
        """Images of train, val and test."""
        val = len(self.held_out)
        return {"train": self.files["train"].images - val, "val": val, "test": self.files["test"].images}


def described(images: Images) -> dict[str, Any]:
    """The parameters that decide what a dataset holds; where its images lie does not."""
    return images.model_dump(mode="json", exclude={"path"})


def read_origin(directory: Path) -> str:
    """Where a dataset's images came from, for a reader. Not in the manifest: the same images may lie elsewhere."""
    path = directory / "origin.txt"
    return path.read_text().strip() if path.is_file() else "unknown"


def check_manifest(manifest: Manifest, images: Images, name: str) -> None:
    """A dataset must have been made with the parameters that are asked for.

    Raises:
        BenchError: naming what differs.
    """
    asked = described(images)
    if differs := [key for key in asked if manifest.images.get(key) != asked[key]]:
        was = ", ".join(f"{key} {manifest.images.get(key)} instead of {asked[key]}" for key in differs)
        raise BenchError(f"dataset {name} was prepared with {was}: `slt-bench prepare {name}`")


def read_manifest(directory: Path) -> Manifest:
    """The manifest in a dataset's directory.

    Raises:
        BenchError: it is missing or damaged.
    """
    path, name = directory / "manifest.json", directory.name
    try:
        return Manifest.model_validate_json(path.read_text())
    except FileNotFoundError:
        raise BenchError(f"dataset {name} is not prepared ({path} is missing): `slt-bench prepare {name}`") from None
    except (ValidationError, json.JSONDecodeError) as error:
        raise BenchError(f"{path} is damaged or of an older version: delete it, then `slt-bench prepare {name}`") from error


def verify_file(directory: Path, name: FileName, manifest: Manifest) -> Path:
    """The .beton file, once its bytes are known to be those that were written (ffcv would not notice).

    A file that was found whole is not read again until its size or the time of its last change differ: the real ImageNet
    takes minutes to read.

    Raises:
        BenchError: the file is missing, truncated or changed.
    """
    path, entry = directory / f"{name}.beton", manifest.files[name]
    mend = f"delete it, then `slt-bench prepare {directory.name}`"
    if not path.is_file():
        raise BenchError(f"{path} is missing: `slt-bench prepare {directory.name}`")
    state = path.stat()
    if state.st_size != entry.bytes:
        raise BenchError(f"{path} has {state.st_size} bytes instead of {entry.bytes}: {mend}")
    seen, stamp = directory / f".{name}.verified", f"{entry.sha256} {state.st_mtime_ns} {state.st_ino}"
    if seen.is_file() and seen.read_text() == stamp:
        return path
    if sha256(path) != entry.sha256:
        raise BenchError(f"{path} is damaged, its bytes have changed: {mend}")
    with suppress(BenchError):  # a directory that one may only read
        write_text(seen, stamp)
    return path
