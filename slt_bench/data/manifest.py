"""The manifest of a prepared dataset: what is in its .beton files, and that they are whole."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from slt_bench.errors import BenchError
from slt_bench.params.base import Model
from slt_bench.params.images import Images

SplitName = Literal["train", "val", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "val", "test")


class SplitManifest(Model):
    """One .beton file."""

    images: int
    per_class: list[int]
    digest: str  # SHA-256 of the decoded images and labels, in order
    sha256: str  # of the file
    bytes: int


class Manifest(Model):
    """A prepared dataset; the same images give the same manifest."""

    images: dict[str, Any]  # the parameters that it was made with
    classes: list[str]
    image_size: int
    splits: dict[SplitName, SplitManifest]
    digest: str  # of all splits' digests
    written_by: dict[str, str]


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
        raise BenchError(f"{path} is damaged: delete it, then `slt-bench prepare {name}`") from error


def verify_file(directory: Path, split: SplitName, manifest: Manifest) -> Path:
    """The split's .beton file, once its bytes are known to be those that were written (ffcv would not notice).

    Raises:
        BenchError: the file is missing, truncated or changed.
    """
    path, entry = directory / f"{split}.beton", manifest.splits[split]
    mend = f"delete it, then `slt-bench prepare {directory.name}`"
    if not path.is_file():
        raise BenchError(f"{path} is missing: `slt-bench prepare {directory.name}`")
    if (size := path.stat().st_size) != entry.bytes:
        raise BenchError(f"{path} has {size} bytes instead of {entry.bytes}: {mend}")
    with path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != entry.sha256:
            raise BenchError(f"{path} is damaged, its bytes have changed: {mend}")
    return path
