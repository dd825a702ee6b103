"""CIFAR-10 and CIFAR-100, from the release, or from a folder or archive of their images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from slt_bench.common import paths
from slt_bench.common.errors import BenchError
from slt_bench.data.sources.image_folder import image_folder
from slt_bench.data.sources.pictures import check_name
from slt_bench.data.sources.splits import Arrays, ImageSet
from slt_bench.params.datasets import Images, Release

_DOWNLOADED = {"cifar10": "cifar-10-batches-py", "cifar100": "cifar-100-python"}  # folders that torchvision makes


def cifar_is_downloaded(source: str) -> bool:
    """Whether torchvision has downloaded the release before."""
    return (paths.DOWNLOADS / _DOWNLOADED[source]).is_dir()


def cifar(images: Images, release: Release, location: str | None) -> ImageSet:
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
        return _release(images, paths.DOWNLOADS, download=True)
    check_name(location, images.variable or "")
    if Path(location).is_dir() and not (Path(location) / "train").is_dir():
        return _release(images, Path(location), download=False)
    fitted = images.model_copy(update={"size": release.image_size, "test_images": None})
    image_set = image_folder(Path(location), fitted)
    if (count := len(image_set.classes)) != release.classes:
        raise BenchError(f"{images.variable} names {location}, which has {count} classes instead of {release.classes}")
    return image_set


def _release(images: Images, root: Path, download: bool) -> ImageSet:
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
        missing = f"is neither in {root} nor to be downloaded ({error})" if download else f"is not in {root}, or not whole"
        raise BenchError(
            f"{images.source} {missing}. Put the release there, or name its "
            f"directory, or a folder or tar of split/class/image, in the variable {images.variable}"
        ) from error
    splits = [Arrays(np.asarray(part.data), np.asarray(part.targets, dtype=np.int64)) for part in (train, test)]
    return ImageSet(splits[0], splits[1], list(train.classes), f"{images.source}, standard release")
