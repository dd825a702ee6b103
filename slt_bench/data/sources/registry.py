"""All image sources by name: where train and test images come from, with labels. Images in files are read when wanted."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from slt_bench.common.errors import BenchError
from slt_bench.common.plugins import is_plugin
from slt_bench.data.sources.cifar import cifar, cifar_is_downloaded
from slt_bench.data.sources.fashion_mnist import fashion_mnist, fashion_mnist_is_here
from slt_bench.data.sources.foreign import foreign_images
from slt_bench.data.sources.image_folder import image_folder, labelled
from slt_bench.data.sources.imagenet import imagenet_release
from slt_bench.data.sources.pictures import check_name, escaped, kind_of
from slt_bench.data.sources.splits import Arrays, ImageSet, balanced_indices
from slt_bench.params.datasets import RELEASES, SOURCES, Images

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
        return cifar(images, images.release, location)
    if images.source in ("imagenet_sample", "imagenette"):
        return image_folder(Path(location or ""), images)
    check_name(location or "", images.variable or "")
    train, test, classes, origin = imagenet_release(Path(location or ""))
    return ImageSet(labelled(train, classes, None), labelled(test, classes, None), classes, origin)


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


def is_at_hand(images: Images) -> bool:
    """Whether images are on this machine, as far as that can be told without reading any: nothing is to be downloaded."""
    try:
        check_named(images)
    except BenchError:
        return False
    if images.variable is None or os.environ.get(images.variable):
        return True
    return fashion_mnist_is_here() if images.source == "fashion_mnist" else cifar_is_downloaded(images.source)


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
