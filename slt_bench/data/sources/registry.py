"""All image sources by name: where train and test images come from, with labels. Images in files are read when wanted."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from slt_bench.common import paths
from slt_bench.common.errors import BenchError
from slt_bench.common.files import sha256
from slt_bench.common.plugins import is_plugin
from slt_bench.data.sources.fashion_mnist import fashion_mnist
from slt_bench.data.sources.foreign import foreign_images
from slt_bench.data.sources.imagenet import imagenet_release
from slt_bench.data.sources.pictures import check_name, escaped, kind_of
from slt_bench.data.sources.splits import Arrays, Files, ImageSet, balanced_indices
from slt_bench.data.sources.trees import Classes, check_classes, picture_tree
from slt_bench.params.datasets import RELEASES, SOURCES, Images, Release

_TEST_SHARE_OF_DIGITS = 0.2


def load_images(images: Images) -> ImageSet:
    """Find the images of a source; small releases are read whole.

    Args:
        images: the source, and the folder or size that belongs to it.

    Returns:
        Train and test images.

    Raises:
        BenchError: the source is missing, unreadable or not of the expected form; a bad image is named.
    """
    check_named(images)
    if is_plugin(images.source):
        return foreign_images(images)
    if images.source == "digits":
        return _digits(images.seed)
    if images.source == "image_folder":
        return image_folder(Path(images.path or ""), images)
    location = os.environ.get(images.variable or "")
    if images.source == "fashion_mnist":
        return fashion_mnist(location)
    if images.release is not None:
        return _cifar_or_folder(images, images.release, location)
    if images.source in ("imagenet_sample", "imagenette"):
        return image_folder(Path(location or ""), images)
    check_name(location or "", images.variable or "")
    train, test, classes, origin = imagenet_release(Path(location or ""))
    return ImageSet(_files(train, classes, None), _files(test, classes, None), classes, origin)


def check_named(images: Images) -> None:
    """Check, without reading any, that images are where params.yaml or a variable says, or can be downloaded.

    Raises:
        BenchError: they are not; the variable that can name them is told.
    """
    if images.source not in SOURCES and not is_plugin(images.source):
        raise BenchError(f"there is no source of images {images.source}")
    if images.path is not None and kind_of(Path(images.path)) == "nothing":
        raise BenchError(f"path names {escaped(images.path)}, which does not exist")
    variable = images.variable or ""
    location = os.environ.get(variable)
    if location and kind_of(Path(location)) == "nothing":
        raise BenchError(f"{variable} names {escaped(location)}, which does not exist")
    if variable and not location and images.release is None:
        what = {"imagenet": "the directory of the ImageNet release", "imagenette": "its directory or tar"}.get(
            images.source, "a directory or tar of sample images"
        )
        raise BenchError(f"images of {images.source} cannot be downloaded: name {what} in the variable {variable}")


def image_folder(path: Path, images: Images) -> ImageSet:
    """Find the images of a directory or tar archive of split/class/image, with the splits train and test, or train and val.

    Where there is no test, val is taken for it. Classes are in alphabetical order. What is left out is printed.

    Args:
        path: the directory or archive.
        images: with a `size`, images of another size are resized (shorter side, antialiased) and centre-cropped; without a
            folder test, `test_images` of train are taken for it.

    Returns:
        Train and test images.

    Raises:
        BenchError: the directory or archive is missing, damaged or no dataset, or something in it cannot be taken.
    """
    check_name(str(path), "the folder or archive of images")
    splits, left_out = picture_tree(path, ("train", "test"))
    tested_on = ""
    if not splits["test"]:
        by_val, without_val = picture_tree(path, ("train", "val"))
        if by_val["val"]:
            splits, left_out, tested_on = {"train": by_val["train"], "test": by_val["val"]}, without_val, ", its val as test"
            print(f"note: {escaped(str(path))} has no folder test: its folder val is the test set")
    if details := left_out.details():
        print(f"note: left out of {escaped(str(path))}: {details}")
    if not splits["test"] and images.test_images is not None:
        del splits["test"]
    check_classes(path, splits)
    classes = sorted(splits["train"])
    digest = f" (SHA-256 {sha256(path)[:12]})" if path.is_file() else ""
    origin = f"images of {escaped(path.name)}{digest}{left_out.summary()}{tested_on}"
    train = _files(splits["train"], classes, images.size)
    if "test" in splits:
        return ImageSet(train, _files(splits["test"], classes, images.size), classes, origin)
    test = balanced_indices(train.labels, min(images.test_images or 0, len(train.labels) - 1), images.seed, "test-subset")
    rest = np.setdiff1d(np.arange(len(train.labels)), test)
    return ImageSet(train.take(rest), train.take(test), classes, f"{origin}, a part of train as test")


def _files(pictures: Classes, classes: list[str], size: int | None) -> Files:
    """Label the pictures of each class.

    Args:
        pictures: class -> pictures.
        classes: names of the classes; a label is a position in this list.
        size: side in pixels of the square that images are fitted to; None to leave them in their own size.

    Returns:
        All pictures, class by class.
    """
    labels = np.repeat(np.arange(len(classes)), [len(pictures[name]) for name in classes])
    return Files([picture for name in classes for picture in pictures[name]], labels.astype(np.int64), size)


def _digits(seed: int) -> ImageSet:
    """Load scikit-learn's 1,797 digits of 8x8 pixels in 17 grey levels; a class-balanced fifth becomes the test set."""
    from sklearn.datasets import load_digits

    bunch: Any = load_digits()
    grey = np.round(bunch.images * (255 / 16)).astype(np.uint8)
    everything = Arrays(np.repeat(grey[..., None], 3, axis=3), bunch.target.astype(np.int64))
    count = round(_TEST_SHARE_OF_DIGITS * len(grey))
    test = balanced_indices(everything.labels, count, seed, "digits-test")
    train = np.setdiff1d(np.arange(len(grey)), test)
    classes = [str(digit) for digit in range(RELEASES["digits"].classes)]
    return ImageSet(everything.take(train), everything.take(test), classes, "scikit-learn digits")


def _cifar_or_folder(images: Images, release: Release, location: str | None) -> ImageSet:
    """Load CIFAR from its release, or from a folder or archive of its images.

    Args:
        images: source cifar10 or cifar100.
        release: the source's facts, which a folder of images has to fit.
        location: the release, folder or archive; None to download the release.

    Returns:
        Train and test images.

    Raises:
        BenchError: the images are missing, damaged or of another number of classes.
    """
    if not location:
        return _cifar(images, paths.DOWNLOADS, download=True)
    check_name(location, images.variable or "")
    if Path(location).is_dir() and not (Path(location) / "train").is_dir():
        return _cifar(images, Path(location), download=False)
    fitted = images.model_copy(update={"size": release.image_size, "test_images": None})
    image_set = image_folder(Path(location), fitted)
    if (count := len(image_set.classes)) != release.classes:
        raise BenchError(f"{images.variable} names {location}, which has {count} classes instead of {release.classes}")
    return image_set


def _cifar(images: Images, root: Path, download: bool) -> ImageSet:
    """Load CIFAR's standard release with torchvision, which verifies its checksum.

    Args:
        images: source cifar10 or cifar100.
        root: the directory that holds the release's folder, or that folder itself.
        download: fetch the release into `root` if it is not there.

    Returns:
        Train and test images.

    Raises:
        BenchError: the release is missing and cannot be downloaded, or it is damaged.
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
