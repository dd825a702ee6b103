"""The manifest of a prepared dataset: the contents of its .beton files and how they are split."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError, model_validator

from slt_bench.common.errors import BenchError
from slt_bench.data.beton import LONGEST_SIDE
from slt_bench.data.sources.pictures import escaped
from slt_bench.params.base import Model, Options
from slt_bench.params.datasets import Images

FileName = Literal["train", "test"]
FILES: tuple[FileName, ...] = ("train", "test")
SplitName = Literal["train", "val", "all", "test"]
_MOST_IMAGES = 1 << 26  # of a file: five times those of ImageNet-21k, and their numbers still fit into memory
_Count = Annotated[int, Field(ge=0, le=_MOST_IMAGES)]
_Side = Annotated[int, Field(ge=1, le=LONGEST_SIDE)]
_Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class FileManifest(Model):
    """The entry of one .beton file in the manifest.

    Attributes:
        images: number of images.
        per_class: number of images of each class.
        image_size: side in pixels; None where the images are not squares of one size.
        digest: SHA-256 over all images, as they are stored, and their labels.
        sha256: SHA-256 of the file.
        bytes: size of the file.
    """

    images: int = Field(ge=1, le=_MOST_IMAGES)
    per_class: list[_Count]
    image_size: _Side | None
    digest: _Digest
    sha256: _Digest
    bytes: Annotated[int, Field(ge=1, lt=1 << 63)]

    @model_validator(mode="after")
    def _adds_up(self) -> FileManifest:
        """Refuse counts per class that do not sum to the number of images."""
        if sum(self.per_class) != self.images:
            raise ValueError(f"per_class sums to {sum(self.per_class)} instead of {self.images} images")
        return self


class Manifest(Model):
    """The contents of a prepared dataset; equal images give an equal manifest.

    Attributes:
        images: the parameters that the dataset was prepared with.
        classes: names of the classes; a label is a position in this list.
        files: entry of each .beton file.
        held_out: rising numbers of the images in train.beton that are the split val.
        digest: `data_digest` of classes, files and split.
        written_by: versions of the libraries that wrote the files.
    """

    images: dict[str, str | int | float | bool | Options | None]
    classes: list[str]
    files: dict[FileName, FileManifest]
    held_out: list[_Count]
    digest: _Digest
    written_by: dict[str, str]

    @model_validator(mode="after")
    def _is_whole(self) -> Manifest:
        """Refuse files, classes, a split or a digest that contradict each other."""
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
        """Find the images of a split.

        Args:
            name: `train` and `val` are two parts of train.beton, `all` is the whole file, `test` is test.beton.

        Returns:
            The file, and int64[n], rising numbers of the images in it.
        """
        if name == "test":
            return "test", np.arange(self.files["test"].images)
        everything, val = np.arange(self.files["train"].images), np.array(self.held_out, dtype=np.int64)
        return "train", {"all": everything, "val": val, "train": np.delete(everything, val)}[name]

    def counts(self) -> dict[str, int]:
        """Count the images of train, val and test."""
        val = len(self.held_out)
        return {"train": self.files["train"].images - val, "val": val, "test": self.files["test"].images}


def data_digest(classes: Sequence[str], files: Mapping[FileName, FileManifest], held_out: Sequence[int]) -> str:
    """Compute the digest of everything that decides which images a search or an evaluation sees.

    Args:
        classes: names of the classes.
        files: entry of each .beton file.
        held_out: numbers of the training images that are the split val.

    Returns:
        SHA-256 in hex. It does not depend on the bytes of the files, which hold pages of no meaning too.
    """
    fields = ("images", "per_class", "image_size", "digest")
    listed = {name: {field: getattr(files[name], field) for field in fields} for name in FILES}
    content = {"classes": list(classes), "files": listed, "held_out": list(held_out)}
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def described(images: Images) -> dict[str, Any]:
    """List the parameters that decide what a dataset holds; the path of the images is none of them."""
    return images.model_dump(mode="json", exclude={"path"})


def read_origin(directory: Path) -> str:
    """Read where a dataset's images came from, for a reader.

    The origin is not in the manifest, which is equal for equal images, wherever they came from.
    """
    content = read_if_possible(directory / "origin.txt")
    return "unknown" if content is None else content.decode(errors="replace").strip()


def check_manifest(manifest: Manifest, images: Images, name: str) -> None:
    """Refuse a dataset that was prepared with other parameters than those of params.yaml.

    Args:
        manifest: of the dataset.
        images: the parameters that are requested.
        name: of the dataset.

    Raises:
        BenchError: a parameter differs; the message names all that do.
    """
    requested, actual = described(images), manifest.images
    if differing := [key for key in {**requested, "options": {}} if actual.get(key) != requested.get(key)]:
        differences = ", ".join(f"{key} {actual.get(key)} instead of {requested.get(key)}" for key in differing)
        raise BenchError(f"dataset {name} was prepared with {differences}: `slt-bench prepare {name}`")


def read_manifest(directory: Path) -> Manifest:
    """Read and check the manifest in a dataset's directory.

    Raises:
        BenchError: the manifest is missing, unreadable, damaged or of an older version.
    """
    path, prepare = directory / "manifest.json", f"`slt-bench prepare {directory.name}`"
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise BenchError(f"dataset {directory.name} is not prepared ({path} is missing): {prepare}") from None
    except OSError as error:
        raise BenchError(f"{path} cannot be read ({error.strerror}): fix or delete it, then {prepare}") from error
    except ValidationError as error:
        raise BenchError(f"{path} is damaged or of an older version ({_reason(error)}): delete it, then {prepare}") from None


def _reason(error: ValidationError) -> str:
    """Return the first mistake that pydantic found, on one line."""
    first = error.errors(include_url=False)[0]
    field = ".".join(map(str, first["loc"]))
    message = first["msg"].removeprefix("Value error, ")
    return escaped(f"{field}: {message}" if field else message)


def read_if_possible(path: Path) -> bytes | None:
    """Read a file; None if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError:
        return None
