"""Images of a directory or tar archive of split/class/image, as many data sets come."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from slt_bench.common.files import sha256
from slt_bench.data.sources.pictures import check_name, escaped
from slt_bench.data.sources.splits import Files, ImageSet, balanced_indices
from slt_bench.data.sources.trees import Classes, check_classes, picture_tree
from slt_bench.params.datasets import Images


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
    train = labelled(splits["train"], classes, images.size)
    if "test" in splits:
        return ImageSet(train, labelled(splits["test"], classes, images.size), classes, origin)
    test = balanced_indices(train.labels, min(images.test_images or 0, len(train.labels) - 1), images.seed, "test-subset")
    rest = np.setdiff1d(np.arange(len(train.labels)), test)
    return ImageSet(train.take(rest), train.take(test), classes, f"{origin}, a part of train as test")


def labelled(pictures: Classes, classes: list[str], size: int | None) -> Files:
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
