"""Image sources: where train and test images come from, with labels. Images are read one by one, when they are wanted."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slt_bench.common import paths, random
from slt_bench.common.errors import BenchError
from slt_bench.common.files import sha256
from slt_bench.common.random import Purpose
from slt_bench.data.sources.imagenet import imagenet_release
from slt_bench.data.sources.pictures import Picture, check_name, decode, kind_of, shown
from slt_bench.data.sources.trees import check_classes, picture_tree
from slt_bench.params.datasets import Images

_TEST_SHARE_OF_DIGITS = 0.2
_CLASSES = {"cifar10": 10, "cifar100": 100}


@dataclass(frozen=True)
class Arrays:
    """Images in memory: uint8[n, height, width, 3] and int64[n]."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        return self.images[index]

    def take(self, indices: NDArray[np.int64]) -> Arrays:
        return Arrays(self.images[indices], self.labels[indices])


@dataclass(frozen=True)
class Files:
    """Images in files, decoded when they are read; `size` is the side of a square that they are fitted to, or None."""

    pictures: list[Picture]
    labels: NDArray[np.int64]
    size: int | None = None

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        return decode(self.pictures[index], self.size)

    def take(self, indices: NDArray[np.int64]) -> Files:
        return Files([self.pictures[index] for index in indices], self.labels[indices], self.size)


Split = Arrays | Files


@dataclass(frozen=True)
class ImageSet:
    """All images of a dataset before the validation split."""

    train: Split
    test: Split
    classes: list[str]
    origin: str  # for a reader: which release, or which folder


def load_images(images: Images) -> ImageSet:
    """Find the images of a source; small releases are read whole.

    Raises:
        BenchError: it is missing, unreadable or not of the expected form; a bad image is named.
    """
    if images.source == "digits":
        return _digits(images.seed)
    if images.source == "image_folder":
        return image_folder(Path(images.path or ""), images)
    variable = images.variable or ""
    given = os.environ.get(variable)
    if given and kind_of(Path(given)) == "nothing":
        raise BenchError(f"{variable} names {shown(given)}, which does not exist")
    if images.source in _CLASSES:
        return _cifar_or_folder(images, given, variable)
    if not given:
        what = "the directory of the ImageNet release" if images.source == "imagenet" else "a directory or tar of sample images"
        raise BenchError(f"images of {images.source} cannot be downloaded: name {what} in the variable {variable}")
    if images.source == "imagenet_sample":
        return image_folder(Path(given), images)
    check_name(given, variable)
    train, test, classes, origin = imagenet_release(Path(given))
    return ImageSet(_files(train, classes, None), _files(test, classes, None), classes, origin)


def balanced_indices(labels: NDArray[np.int64], count: int, seed: int, purpose: Purpose) -> NDArray[np.int64]:
    """`count` indices with every class in its share (largest remainder), chosen at random and sorted."""
    from slt_bench.common.rounding import round_to_total

    sizes = np.bincount(labels).astype(np.int64)
    quota = round_to_total(sizes.astype(np.float64) * (count / len(labels)), count, sizes)
    order, ends = np.argsort(labels, kind="stable"), np.cumsum(sizes)
    chosen = []
    for label, (size, share) in enumerate(zip(sizes, quota, strict=True)):
        members = order[ends[label] - size : ends[label]]
        chosen.append(members[random.permutation(seed, purpose, label, int(size))[:share]])
    return np.sort(np.concatenate(chosen))


def image_folder(path: Path, images: Images) -> ImageSet:
    """A directory or tar archive of split/class/image, with the splits train and test; classes in alphabetical order.

    Images of another size are resized (shorter side, antialiased) and centre-cropped where `images.size` asks for squares.
    Where there is no test, `images.test_images` of train are taken for it. What is left out is said.
    """
    check_name(str(path), "the folder or archive of images")
    found, left = picture_tree(path, ("train", "test"))
    if words := left.words():
        print(f"note: left out of {shown(str(path))}: {words}")
    parts = found if found["test"] or images.test_images is None else {"train": found["train"]}
    check_classes(path, parts)
    classes = sorted(found["train"])
    origin = f"images of {shown(path.name)}" + (f" (SHA-256 {sha256(path)[:12]})" if path.is_file() else "") + left.short()
    train = _files(found["train"], classes, images.size)
    if "test" in parts:
        return ImageSet(train, _files(found["test"], classes, images.size), classes, origin)
    test = balanced_indices(train.labels, min(images.test_images or 0, len(train.labels) - 1), images.seed, "test-subset")
    rest = np.setdiff1d(np.arange(len(train.labels)), test)
    return ImageSet(train.take(rest), train.take(test), classes, f"{origin}, a part of train as test")


def _files(found: dict[str, list[Picture]], classes: list[str], size: int | None) -> Files:
    labels = np.repeat(np.arange(len(classes)), [len(found[name]) for name in classes])
    return Files([picture for name in classes for picture in found[name]], labels.astype(np.int64), size)


def _digits(seed: int) -> ImageSet:
    """scikit-learn's 1,797 digits of 8x8 pixels in 17 grey levels; a class-balanced fifth of them is the test set."""
    from sklearn.datasets import load_digits

    bunch: Any = load_digits()
    grey = np.round(bunch.images * (255 / 16)).astype(np.uint8)
    everything = Arrays(np.repeat(grey[..., None], 3, axis=3), bunch.target.astype(np.int64))
    count = round(_TEST_SHARE_OF_DIGITS * len(grey))
    test = balanced_indices(everything.labels, count, seed, "digits-test")
    train = np.setdiff1d(np.arange(len(grey)), test)
    classes = [str(digit) for digit in range(10)]
    return ImageSet(everything.take(train), everything.take(test), classes, "scikit-learn digits")


def _cifar_or_folder(images: Images, given: str | None, variable: str) -> ImageSet:
    if not given:
        return _cifar(images, paths.DOWNLOADS, download=True)
    check_name(given, variable)
    if Path(given).is_dir() and not (Path(given) / "train").is_dir():
        return _cifar(images, Path(given), download=False)
    found = image_folder(Path(given), images.model_copy(update={"size": 32, "test_images": None}))
    if len(found.classes) != (expected := _CLASSES[images.source]):
        raise BenchError(f"{variable} names {given}, which has {len(found.classes)} classes instead of {expected}")
    return found


def _cifar(images: Images, root: Path, download: bool) -> ImageSet:
    """The standard release through torchvision, which downloads it and verifies its checksum.

    `root` is the directory that holds its folder, or that folder itself.
    """
    from urllib.error import URLError

    from torchvision.datasets import CIFAR10, CIFAR100

    kind: Any = CIFAR10 if images.source == "cifar10" else CIFAR100
    if (root / kind.train_list[0][0]).is_file():
        kind = type(kind.__name__, (kind,), {"base_folder": ""})
    try:
        train, test = (kind(str(root), train=part, download=download) for part in (True, False))
    except (URLError, OSError, RuntimeError) as error:
        raise BenchError(
            f"{images.source} is neither in {root} nor to be downloaded ({error}). Put the release there, or name its "
            f"directory, or a folder or tar of split/class/image, in the variable {images.variable}"
        ) from error
    splits = [Arrays(np.asarray(part.data), np.asarray(part.targets, dtype=np.int64)) for part in (train, test)]
    return ImageSet(splits[0], splits[1], list(train.classes), f"{images.source}, standard release")
