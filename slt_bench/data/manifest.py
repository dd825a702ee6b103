"""The manifest of a prepared dataset: what is in its .beton files, how they are split, and that they are whole."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError, model_validator

from slt_bench.common.errors import BenchError
from slt_bench.common.files import sha256, write_text
from slt_bench.data.beton import BetonFile
from slt_bench.data.sources.pictures import shown
from slt_bench.params.base import Model
from slt_bench.params.datasets import Images

FileName = Literal["train", "test"]
FILES: tuple[FileName, ...] = ("train", "test")
SplitName = Literal["train", "val", "all", "test"]
_MOST_IMAGES = 1 << 26  # of a file: five times those of ImageNet-21k, and their numbers still fit into memory
_Count = Annotated[int, Field(ge=0, le=_MOST_IMAGES)]
_Side = Annotated[int, Field(ge=1, le=65_535)]
_Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class FileManifest(Model):
    """One .beton file."""

    images: int = Field(ge=1, le=_MOST_IMAGES)
    per_class: list[_Count]
    image_size: _Side | None  # in pixels, None where its images are not squares of one size
    digest: _Digest  # SHA-256 of what is stored of each image and its label, in order
    sha256: _Digest  # of the file
    bytes: Annotated[int, Field(ge=1, lt=1 << 63)]

    @model_validator(mode="after")
    def _adds_up(self) -> FileManifest:
        if sum(self.per_class) != self.images:
            raise ValueError(f"per_class sums to {sum(self.per_class)} instead of {self.images} images")
        return self


class Manifest(Model):
    """A prepared dataset; the same images give the same manifest."""

    images: dict[str, str | int | float | bool | None]  # the parameters that it was made with
    classes: list[str]
    files: dict[FileName, FileManifest]
    held_out: list[_Count]  # of the images in train.beton, the numbers of those that are the split val
    digest: _Digest  # `data_digest`
    written_by: dict[str, str]

    @model_validator(mode="after")
    def _is_whole(self) -> Manifest:
        if missing := [name for name in FILES if name not in self.files]:
            raise ValueError(f"files has no entry {missing[0]}")
        if twice := sorted((Counter(self.classes) - Counter(set(self.classes))).keys()):
            raise ValueError(f"classes names {twice[0]!r} twice")
        for name, file in self.files.items():
            if len(file.per_class) != len(self.classes):
                raise ValueError(f"files.{name}.per_class counts {len(file.per_class)} classes, there are {len(self.classes)}")
        val, images = self.held_out, self.files["train"].images
        if any(one >= other for one, other in pairwise(val)):
            raise ValueError("held_out does not rise")
        if not 0 < len(val) < images or val[-1] >= images:
            raise ValueError(f"held_out is no part of the {images} images in train that leaves some for train and for val")
        if self.digest != data_digest(self.classes, self.files, val):
            raise ValueError("digest is not that of what it lists")
        return self

    def split(self, name: SplitName) -> tuple[FileName, NDArray[np.int64]]:
        """The file that a split lies in, and the numbers of its images there, rising.

        `train` and `val` are two parts of train.beton, `all` is the whole of it.
        """
        if name == "test":
            return "test", np.arange(self.files["test"].images)
        everything, val = np.arange(self.files["train"].images), np.array(self.held_out, dtype=np.int64)
        return "train", {"all": everything, "val": val, "train": np.delete(everything, val)}[name]

    def counts(self) -> dict[str, int]:
        """Images of train, val and test."""
        val = len(self.held_out)
        return {"train": self.files["train"].images - val, "val": val, "test": self.files["test"].images}


def data_digest(classes: Sequence[str], files: Mapping[FileName, FileManifest], held_out: Sequence[int]) -> str:
    """SHA-256 of all that determines what is shown: the classes, of each file its images, and how they are split."""
    fields = ("images", "per_class", "image_size", "digest")
    listed = {name: {field: getattr(files[name], field) for field in fields} for name in FILES}
    content = {"classes": list(classes), "files": listed, "held_out": list(held_out)}
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def described(images: Images) -> dict[str, Any]:
    """The parameters that decide what a dataset holds; where its images lie does not."""
    return images.model_dump(mode="json", exclude={"path"})


def read_origin(directory: Path) -> str:
    """Where a dataset's images came from, for a reader. Not in the manifest: the same images may lie elsewhere."""
    found = _content(directory / "origin.txt")
    return "unknown" if found is None else found.decode(errors="replace").strip()


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
    """The manifest in a dataset's directory, checked as a whole.

    Raises:
        BenchError: it is missing, unreadable, damaged or of an older version.
    """
    path, prepare = directory / "manifest.json", f"`slt-bench prepare {directory.name}`"
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise BenchError(f"dataset {directory.name} is not prepared ({path} is missing): {prepare}") from None
    except OSError as error:
        raise BenchError(f"{path} cannot be read ({error.strerror}): mend or delete it, then {prepare}") from error
    except ValidationError as error:
        raise BenchError(f"{path} is damaged or of an older version ({_reason(error)}): delete it, then {prepare}") from None


def _reason(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    where = ".".join(map(str, first["loc"]))
    message = first["msg"].removeprefix("Value error, ")
    return shown(f"{where}: {message}" if where else message)


def verify_file(directory: Path, name: FileName, manifest: Manifest) -> Path:
    """The .beton file, once its bytes are known to be those that were written (ffcv would not notice).

    A file that was found whole is not read again until its size, the time of its last change or the manifest differ: the
    real ImageNet takes minutes to read.

    Raises:
        BenchError: the file is missing, truncated or changed, or holds other images than the manifest lists.
    """
    path, entry = directory / f"{name}.beton", manifest.files[name]
    mend = f"delete it, then `slt-bench prepare {directory.name}`"
    try:
        state = path.stat()
        if state.st_size != entry.bytes:
            raise BenchError(f"{path} has {state.st_size} bytes instead of {entry.bytes}: {mend}")
        stamp = f"{manifest.digest} {entry.sha256} {state.st_mtime_ns} {state.st_ino}"
        if _content(directory / f".{name}.verified") == stamp.encode():
            return path
        if sha256(path) != entry.sha256:
            raise BenchError(f"{path} is damaged, its bytes have changed: {mend}")
    except FileNotFoundError:
        raise BenchError(f"{path} is missing: `slt-bench prepare {directory.name}`") from None
    except OSError as error:
        raise BenchError(f"{path} cannot be read ({error.strerror}): {mend}") from error
    if differs := _differs(BetonFile(path), entry):
        raise BenchError(f"{directory / 'manifest.json'} does not fit {path} ({differs}): {mend}")
    with suppress(BenchError):  # a directory that one may only read
        write_text(directory / f".{name}.verified", stamp)
    return path


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _differs(file: BetonFile, entry: FileManifest) -> str | None:
    """What the header of a file says other than the manifest."""
    classes = len(entry.per_class)
    if len(file) != entry.images:
        return f"{len(file)} images instead of {entry.images}"
    if (largest := int(file.labels.max())) >= classes:
        return f"label {largest} of {classes} classes"
    if np.bincount(file.labels, minlength=classes).tolist() != entry.per_class:
        return "other numbers of images per class"
    same = file.image_size == entry.image_size
    return None if same else f"image size {file.image_size} instead of {entry.image_size}"
