"""The ImageNet release (ILSVRC 2012) as people have it: extracted trees, the flat validation folder, the official archives.

Archives are read where they lie, without being unpacked to disk. The official validation images are the test split; what a
search validates on is a part of train (`Images.validation`).
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BufferedReader, BytesIO
from pathlib import Path, PurePosixPath
from typing import Any

from slt_bench.common.errors import BenchError
from slt_bench.data.sources.folders import Directory
from slt_bench.data.sources.left_out import LeftOut
from slt_bench.data.sources.pictures import Picture, escaped, is_picture, reason
from slt_bench.data.sources.tars import DAMAGE, tar_tree, whole_tar
from slt_bench.data.sources.trees import Classes, classes_in, pictures_below

TRAIN_TAR, VAL_TAR, DEVKIT_TAR = "ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar", "ILSVRC2012_devkit_t12.tar.gz"
_DEVKIT, _TRUTH, _META = "ILSVRC2012_devkit_t12", "data/ILSVRC2012_validation_ground_truth.txt", "data/meta.mat"
_NUMBER = re.compile(r"ILSVRC2012_val_([0-9]{8})\.\w+\Z")
_CLASSES, _IMAGES = 1000, [1_281_167, 50_000]
_WNID = re.compile(r"n[0-9]{8}\Z")


def imagenet_release(root: Path) -> tuple[Classes, Classes, list[str], str]:
    """Find the pictures of the ImageNet release. What is left out is printed.

    Args:
        root: the directory of the release, in any of its forms.

    Returns:
        Pictures of train and of the official validation set, each by wnid (the WordNet id that names a class); the wnids in
        the standard order of the 1,000 classes, which is alphabetical; and the origin of the pictures, for a reader.

    Raises:
        BenchError: something is missing, damaged or does not fit; the message names it.
    """
    left_out = LeftOut()
    train, origin = _train(root, left_out)
    val, val_origin = _val(root, left_out)
    if details := left_out.details():
        print(f"note: left out of {escaped(str(root))}: {details}")
    if not train or sorted(train) != sorted(val):
        odd = sorted(set(train) ^ set(val))[:3]
        raise BenchError(f"{root}: train has {len(train)} classes, val {len(val)}; not in both: {', '.join(odd) or 'none'}")
    if empty := [f"{split}/{wnid}" for split, part in (("train", train), ("val", val)) for wnid in part if not part[wnid]]:
        raise BenchError(f"{root}: no picture in {', '.join(empty[:3])}{' and others' if len(empty) > 3 else ''}")
    sizes = [sum(map(len, part.values())) for part in (train, val)]
    counts = " + ".join(f"{size:,}" for size in sizes)
    if len(train) == _CLASSES and sizes != _IMAGES:
        print(f"note: {root} has {counts} images; the whole release has {' + '.join(f'{size:,}' for size in _IMAGES)}")
    origin = f"ImageNet, {counts} images, train from {origin}, val from {val_origin}{left_out.summary()}"
    return train, val, sorted(train), origin


def _is_wnid(name: str) -> bool:
    """Decide whether a folder's name is that of a class, such as n01440764."""
    return _WNID.match(name) is not None


def _train(root: Path, left_out: LeftOut) -> tuple[Classes, str]:
    """Find the training pictures by wnid, and the name of the folder or archive that they lie in."""
    if (root / "train").is_dir():
        return classes_in(Directory(root / "train"), "train", left_out, _is_wnid), "train/"
    if (root / TRAIN_TAR).is_file():
        return _inner_tars(root / TRAIN_TAR, left_out), TRAIN_TAR
    raise BenchError(f"{root} holds no ImageNet training images: neither train/WNID/*.JPEG nor {TRAIN_TAR}")


def _val(root: Path, left_out: LeftOut) -> tuple[Classes, str]:
    """Find the official validation pictures by wnid, and what they were taken from."""
    classes, flat = _val_directory(root / "val", left_out) if (root / "val").is_dir() else ({}, [])
    if any(classes.values()) and flat:
        raise BenchError(f"{root / 'val'} is sorted into classes in part: {len(flat)} images lie beside the class directories")
    if any(classes.values()):
        return classes, "val/"
    origin = "val/"
    if not flat and (root / VAL_TAR).is_file():
        below = pictures_below(tar_tree(root / VAL_TAR), VAL_TAR, left_out)
        flat, origin = [picture for picture in below if _NUMBER.search(picture.name)], VAL_TAR
        left_out.outside += len(below) - len(flat)
    if flat:
        return _by_ground_truth(root, flat), f"{origin} and the devkit"
    raise BenchError(
        f"{root} holds no ImageNet validation images: neither val/WNID/*.JPEG nor val/ILSVRC2012_val_*.JPEG nor {VAL_TAR}"
    )


def _val_directory(path: Path, left_out: LeftOut) -> tuple[Classes, list[Picture]]:
    """Find the validation pictures that are sorted into classes, and those that lie beside each other as in the release."""
    classes = classes_in(Directory(path), "val", left_out, _is_wnid)
    pictures = [entry for _, entry in Directory(path).entries() if isinstance(entry, Picture)]
    flat = [picture for picture in pictures if _NUMBER.search(picture.path.name) and is_picture(picture.path.name)]
    left_out.outside -= len(flat)
    return classes, flat


def _inner_tars(path: Path, left_out: LeftOut) -> Classes:
    """Find the pictures of the training archive, which holds an archive for each class; they are read where they lie."""
    classes: Classes = {}
    with whole_tar(path) as outer:
        if not isinstance(outer.fileobj, BufferedReader):
            raise BenchError(f"{path} is compressed: decompress it, so that pictures can be read where they lie")
        for member in outer:
            wnid = PurePosixPath(member.name).stem
            file = outer.extractfile(member) if member.isfile() and _is_wnid(wnid) else None
            if file is None:
                left_out.add(member.name, member.isdir(), TRAIN_TAR)
                continue
            inner = tar_tree(path, file, member.name, member.offset_data)
            classes[wnid] = pictures_below(inner, member.name, left_out)
    return dict(sorted(classes.items()))


def _by_ground_truth(root: Path, pictures: list[Picture]) -> Classes:
    """Sort the flat validation images into classes by the development kit.

    Line i of its ground truth is the ILSVRC2012_ID of image i; its meta.mat gives the wnid of each such id.
    """
    with _devkit(root) as read:
        truth = _numbers(read(_TRUTH))
        wnids = _wnids(read(_META))
    if len(truth) != len(pictures):
        raise BenchError(f"{root}: {len(pictures)} validation images, but {len(truth)} lines in the devkit's {_TRUTH}")
    classes: Classes = {}
    seen = set[int]()
    for picture in pictures:
        match = _NUMBER.search(picture.name or picture.path.name)
        number = int(match.group(1)) if match else 0
        if not 1 <= number <= len(truth) or truth[number - 1] not in wnids:
            raise BenchError(f"{root}: the devkit knows no class of {picture.name or picture.path.name}")
        if number in seen:
            raise BenchError(f"{root}: two validation images have the number {number}: keep one of them")
        seen.add(number)
        classes.setdefault(wnids[truth[number - 1]], []).append(picture)
    return {wnid: sorted(members, key=lambda member: (member.path, member.name)) for wnid, members in sorted(classes.items())}


@contextmanager
def _devkit(root: Path) -> Iterator[Callable[[str], bytes]]:
    """Open the development kit, unpacked or not, and yield a function that reads one of its files.

    Raises:
        BenchError: the development kit is missing or damaged.
    """
    if (root / _DEVKIT).is_dir():
        try:
            yield lambda name: (root / _DEVKIT / name).read_bytes()
        except OSError as error:
            raise BenchError(f"{root / _DEVKIT} is not whole: {reason(error)}") from error
    elif (root / DEVKIT_TAR).is_file():
        try:
            with tarfile.open(root / DEVKIT_TAR) as archive:
                yield lambda name: archive.extractfile(f"{_DEVKIT}/{name}").read()  # type: ignore[union-attr]
        except (*DAMAGE, KeyError, AttributeError) as error:  # KeyError: no such file; AttributeError: a folder
            raise BenchError(f"{root / DEVKIT_TAR} is damaged or no development kit: {reason(error)}") from error
    else:
        raise BenchError(
            f"the flat validation images need the development kit: {root} has neither {_DEVKIT}/ nor {DEVKIT_TAR} "
            "(or sort the images into val/WNID/)"
        )


def _numbers(truth: bytes) -> list[int]:
    """Read the ground truth: an ILSVRC2012_ID a line."""
    try:
        return [int(line) for line in truth.split()]
    except ValueError as error:
        raise BenchError(f"the devkit's {_TRUTH} holds something else than numbers: {reason(error)}") from error


def _wnids(meta: bytes) -> dict[int, str]:
    """Read ILSVRC2012_ID -> wnid of the classes that are leaves of the hierarchy, from the development kit's meta.mat."""
    from scipy.io import loadmat

    try:
        synsets: Any = loadmat(BytesIO(meta), squeeze_me=True)["synsets"]
        leaves = [synset for synset in synsets if int(synset["num_children"]) == 0]
        return {int(synset["ILSVRC2012_ID"]): str(synset["WNID"]) for synset in leaves}
    except Exception as error:  # scipy raises many kinds for a damaged file
        raise BenchError(f"the devkit's {_META} cannot be read: {reason(error)}") from error
