"""Image sources: where train and test images come from, as uint8 RGB arrays with labels."""

from __future__ import annotations

import hashlib
import lzma
import os
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from slt_bench import paths, streams
from slt_bench.errors import BenchError
from slt_bench.params.images import Images

_PICTURES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".ppm"}
_TEST_SHARE_OF_DIGITS = 0.2


@dataclass(frozen=True)
class Split:
    """Images of one split: uint8[n, size, size, 3] and int64[n]."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def take(self, indices: NDArray[np.int64]) -> Split:
        """Those images, in that order."""
        return Split(self.images[indices], self.labels[indices])


@dataclass(frozen=True)
class ImageSet:
    """All images of a dataset before the validation split."""

    train: Split
    test: Split
    classes: list[str]
    origin: str  # for a reader: which release, or which folder


def environment_variable(images: Images) -> str:
    """The variable that names the directory or image tar of a source, so that nothing is downloaded."""
    return f"SLT_BENCH_{images.source.upper()}"


def load_images(images: Images) -> ImageSet:
    """Read a source whole.

    Raises:
        BenchError: it is missing, unreadable or not of the expected form; a bad image is named.
    """
    if images.source == "digits":
        return _digits(images.seed)
    if images.source == "image_folder":
        assert images.path is not None and images.size is not None
        return image_folder(Path(images.path), images.size)
    variable = environment_variable(images)
    if not (given := os.environ.get(variable)):
        return _cifar(images, paths.DOWNLOADS, download=True)
    if not Path(given).exists():
        raise BenchError(f"{variable} names {given}, which does not exist")
    if Path(given).is_dir() and not (Path(given) / "train").is_dir():
        return _cifar(images, Path(given), download=False)
    found, expected = image_folder(Path(given), 32), 10 if images.source == "cifar10" else 100
    if len(found.classes) != expected:
        raise BenchError(f"{variable} names {given}, which has {len(found.classes)} classes instead of {expected}")
    return found


def balanced_indices(labels: NDArray[np.int64], count: int, seed: int, purpose: streams.Purpose) -> NDArray[np.int64]:
    """`count` indices with every class in its share (largest remainder), chosen at random and sorted."""
    from slt_bench.layouts import round_to_total

    sizes = np.bincount(labels).astype(np.int64)
    quota = round_to_total(sizes.astype(np.float64) * (count / len(labels)), count, sizes)
    chosen = []
    for label, (size, share) in enumerate(zip(sizes, quota, strict=True)):
        members = np.flatnonzero(labels == label)
        chosen.append(members[streams.permutation(seed, purpose, label, int(size))[:share]])
    return np.sort(np.concatenate(chosen))


def _digits(seed: int) -> ImageSet:
    """scikit-learn's 1,797 digits of 8x8 pixels in 17 grey levels; a class-balanced fifth of them is the test set."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    grey = np.round(bunch.images * (255 / 16)).astype(np.uint8)
    everything = Split(np.repeat(grey[..., None], 3, axis=3), bunch.target.astype(np.int64))
    count = round(_TEST_SHARE_OF_DIGITS * len(grey))
    test = balanced_indices(everything.labels, count, seed, "digits-test")
    train = np.setdiff1d(np.arange(len(grey)), test)
    classes = [str(digit) for digit in range(10)]
    return ImageSet(everything.take(train), everything.take(test), classes, "scikit-learn digits")


def _cifar(images: Images, root: Path, download: bool) -> ImageSet:
    """The standard release through torchvision, which downloads it and verifies its checksum."""
    from urllib.error import URLError

    from torchvision.datasets import CIFAR10, CIFAR100

    kind = CIFAR10 if images.source == "cifar10" else CIFAR100
    try:
        train, test = (kind(str(root), train=part, download=download) for part in (True, False))
    except (URLError, OSError, RuntimeError) as error:
        raise BenchError(
            f"{images.source} is neither in {root} nor to be downloaded ({error}). Put the release there, or name its "
            f"directory, or a folder or tar of split/class/image, in the variable {environment_variable(images)}"
        ) from error
    splits = [Split(np.asarray(part.data), np.asarray(part.targets, dtype=np.int64)) for part in (train, test)]
    return ImageSet(splits[0], splits[1], list(train.classes), f"{images.source}, standard release")


def image_folder(path: Path, size: int) -> ImageSet:
    """A directory or tar archive of split/class/image, with the splits train and test; classes in alphabetical order.

    Images of another size are resized (shorter side, antialiased) and centre-cropped to `size` x `size`.
    """
    files = _tar_files(path) if path.is_file() else _directory_files(path)
    found: dict[str, dict[str, list[NDArray[np.uint8]]]] = {"train": {}, "test": {}}
    for name, content in files:
        split, label = PurePosixPath(name).parts[-3:-1]
        found[split].setdefault(label, []).append(_decode(f"{path}: {name}", content, size))
    classes = sorted(found["train"])
    if not classes or sorted(found["test"]) != classes:
        raise BenchError(
            f"{path} is not a dataset: expected train/CLASS/IMAGE and test/CLASS/IMAGE with the same classes; found "
            f"{len(classes)} classes in train and {len(found['test'])} in test"
        )
    origin = f"images of {path.name}" + (f" (SHA-256 {_sha256(path)[:12]})" if path.is_file() else "")
    return ImageSet(_stack(found["train"], classes), _stack(found["test"], classes), classes, origin)


def _stack(found: dict[str, list[NDArray[np.uint8]]], classes: list[str]) -> Split:
    images = np.stack([image for name in classes for image in found[name]])
    labels = np.repeat(np.arange(len(classes)), [len(found[name]) for name in classes])
    return Split(images, labels.astype(np.int64))


def _is_picture(name: str) -> bool:
    parts = PurePosixPath(name)
    return len(parts.parts) >= 3 and parts.parts[-3] in ("train", "test") and parts.suffix.lower() in _PICTURES


def _directory_files(path: Path) -> Iterator[tuple[str, bytes]]:
    if not path.is_dir():
        raise BenchError(f"there is no image folder or archive {path}")
    for file in sorted(path.glob("*/*/*")):
        name = str(PurePosixPath(*file.parts[-3:]))
        if file.is_file() and _is_picture(name):
            try:
                yield name, file.read_bytes()
            except OSError as error:
                raise BenchError(f"unreadable image {file}: {error.strerror}; mend or remove it") from error


def _tar_files(path: Path) -> Iterator[tuple[str, bytes]]:
    """Members in order of their names, so that directory and archive give the same dataset."""
    contents = {}
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                if member.isfile() and _is_picture(member.name) and (file := archive.extractfile(member)):
                    contents[member.name] = file.read()
            archive.fileobj.seek(archive.offset)
            whole = archive.fileobj.read(tarfile.BLOCKSIZE) == bytes(tarfile.BLOCKSIZE)
    except (tarfile.TarError, EOFError, OSError, lzma.LZMAError, zlib.error) as error:
        raise BenchError(f"{path} cannot be read as a tar archive: {error}") from error
    if not whole:  # tarfile takes a damaged header for the end
        raise BenchError(f"{path} cannot be read as a tar archive: it is cut short or damaged after {len(contents)} images")
    yield from sorted(contents.items())


def _decode(name: str, content: bytes, size: int) -> NDArray[np.uint8]:
    from PIL import Image, ImageOps

    try:
        with Image.open(BytesIO(content)) as image:
            picture = image.convert("RGB")
    except Exception as error:  # Pillow raises whatever its decoder raises
        raise BenchError(f"unreadable image {name}: {error}; mend or remove it") from error
    if picture.size != (size, size):
        picture = ImageOps.fit(picture, (size, size), Image.Resampling.BICUBIC)
    return np.asarray(picture)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
