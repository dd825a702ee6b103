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
from slt_bench.data.sources.left_out import LeftOut
from slt_bench.data.sources.pictures import Picture, is_picture, reason, shown
from slt_bench.data.sources.tars import DAMAGE, tar_tree, whole_tar
from slt_bench.data.sources.trees import Classes, Directory, classes_in, pictures_below

TRAIN_TAR, VAL_TAR, DEVKIT_TAR = "ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar", "ILSVRC2012_devkit_t12.tar.gz"
_DEVKIT, _TRUTH, _META = "ILSVRC2012_devkit_t12", "data/ILSVRC2012_validation_ground_truth.txt", "data/meta.mat"
_NUMBER = re.compile(r"ILSVRC2012_val_([0-9]{8})\.\w+\Z")
_CLASSES, _IMAGES = 1000, [1_281_167, 50_000]
_WNID = re.compile(r"n[0-9]{8}\Z")


def imagenet_release(root: Path) -> tuple[Classes, Classes, list[str], str]:
    """wnid -> pictures of train and of the official validation set; the wnids in standard order; where it all came from.

    The standard order of the 1,000 classes is the alphabetical order of their wnids.

    Raises:
        BenchError: naming what is missing or does not fit.
    """
    left = LeftOut()
    train, origin = _train(root, left)
    val, val_origin = _val(root, left)
    if words := left.words():
        print(f"note: left out of {shown(str(root))}: {words}")
    if not train or sorted(train) != sorted(val):
        odd = sorted(set(train) ^ set(val))[:3]
        raise BenchError(f"{root}: train has {len(train)} classes, val {len(val)}; not in both: {', '.join(odd) or 'none'}")
    if empty := [f"{split}/{wnid}" for split, part in (("train", train), ("val", val)) for wnid in part if not part[wnid]]:
        raise BenchError(f"{root}: no picture in {', '.join(empty[:3])}{' and others' if len(empty) > 3 else ''}")
    sizes = [sum(map(len, part.values())) for part in (train, val)]
    counts = " + ".join(f"{size:,}" for size in sizes)
    if len(train) == _CLASSES and sizes != _IMAGES:
        print(f"note: {root} has {counts} images; the whole release has {' + '.join(f'{size:,}' for size in _IMAGES)}")
    origin = f"ImageNet, {counts} images, train from {origin}, val from {val_origin}{left.short()}"
    return train, val, sorted(train), origin


def _is_wnid(name: str) -> bool:
    return _WNID.match(name) is not None


def _train(root: Path, left: LeftOut) -> tuple[Classes, str]:
    if (root / "train").is_dir():
        return classes_in(Directory(root / "train"), "train", left, _is_wnid), "train/"
    if (root / TRAIN_TAR).is_file():
        return _inner_tars(root / TRAIN_TAR, left), TRAIN_TAR
    raise BenchError(f"{root} holds no ImageNet training images: neither train/WNID/*.JPEG nor {TRAIN_TAR}")


def _val(root: Path, left: LeftOut) -> tuple[Classes, str]:
    found, flat, origin = _val_directory(root / "val", left) if (root / "val").is_dir() else ({}, [], "")
    if any(found.values()) and flat:
        raise BenchError(f"{root / 'val'} is sorted into classes in part: {len(flat)} images lie beside the class directories")
    if any(found.values()):
        return found, "val/"
    if not flat and (root / VAL_TAR).is_file():
        below = pictures_below(tar_tree(root / VAL_TAR), VAL_TAR, left)
        flat, origin = [picture for picture in below if _NUMBER.search(picture.name)], VAL_TAR
        left.outside += len(below) - len(flat)
    if flat:
        return _by_ground_truth(root, flat), f"{origin} and the devkit"
    raise BenchError(
        f"{root} holds no ImageNet validation images: neither val/WNID/*.JPEG nor val/ILSVRC2012_val_*.JPEG nor {VAL_TAR}"
    )


def _val_directory(path: Path, left: LeftOut) -> tuple[Classes, list[Picture], str]:
    """What is sorted into classes, and the release's flat images."""
    found = classes_in(Directory(path), "val", left, _is_wnid)
    pictures = [entry for _, entry in Directory(path).entries() if isinstance(entry, Picture)]
    flat = [each for each in pictures if _NUMBER.search(each.path.name) and is_picture(each.path.name)]
    left.outside -= len(flat)
    return found, flat, "val/"


def _inner_tars(path: Path, left: LeftOut) -> Classes:
    """The pictures of the archive of one archive per class; each is found by its place in the outer file."""
    classes: Classes = {}
    with whole_tar(path) as outer:
        if not isinstance(outer.fileobj, BufferedReader):
            raise BenchError(f"{path} is compressed: decompress it, so that pictures can be read where they lie")
        for member in outer:
            wnid = PurePosixPath(member.name).stem
            file = outer.extractfile(member) if member.isfile() and _is_wnid(wnid) else None
            if file is None:
                left.add(member.name, member.isdir(), TRAIN_TAR)
                continue
            inner = tar_tree(path, file, member.name, member.offset_data)
            classes[wnid] = pictures_below(inner, member.name, left)
    return dict(sorted(classes.items()))


def _by_ground_truth(root: Path, pictures: list[Picture]) -> Classes:
    """Sort the flat validation images into classes: line i of the ground truth is the ILSVRC2012_ID of image i."""
    with _devkit(root) as read:
        truth = _numbers(read(_TRUTH))
        wnids = _wnids(read(_META))
    if len(truth) != len(pictures):
        raise BenchError(f"{root}: {len(pictures)} validation images, but {len(truth)} lines in the devkit's {_TRUTH}")
    classes: Classes = {}
    seen = set[int]()
    for picture in pictures:
        found = _NUMBER.search(picture.name or picture.path.name)
        number = int(found.group(1)) if found else 0
        if not 1 <= number <= len(truth) or truth[number - 1] not in wnids:
            raise BenchError(f"{root}: the devkit knows no class of {picture.name or picture.path.name}")
        if number in seen:
            raise BenchError(f"{root}: two validation images have the number {number}: keep one of them")
        seen.add(number)
        classes.setdefault(wnids[truth[number - 1]], []).append(picture)
    return {wnid: sorted(found, key=lambda each: (each.path, each.name)) for wnid, found in sorted(classes.items())}


@contextmanager
def _devkit(root: Path) -> Iterator[Callable[[str], bytes]]:
    """How to read a file of the development kit, unpacked or not."""
    if (root / _DEVKIT).is_dir():
        try:
            yield lambda name: (root / _DEVKIT / name).read_bytes()
        except OSError as error:
            raise BenchError(f"{root / _DEVKIT} is not whole: {reason(error)}") from error
    elif (root / DEVKIT_TAR).is_file():
        try:
            with tarfile.open(root / DEVKIT_TAR) as archive:
                yield lambda name: archive.extractfile(f"{_DEVKIT}/{name}").read()  # type: ignore[union-attr]
        except (*DAMAGE, KeyError, AttributeError) as error:  # KeyError: not there; AttributeError: a folder
            raise BenchError(f"{root / DEVKIT_TAR} is damaged or no development kit: {reason(error)}") from error
    else:
        raise BenchError(
            f"the flat validation images need the development kit: {root} has neither {_DEVKIT}/ nor {DEVKIT_TAR} "
            "(or sort the images into val/WNID/)"
        )


def _numbers(truth: bytes) -> list[int]:
    try:
        return [int(line) for line in truth.split()]
    except ValueError as error:
        raise BenchError(f"the devkit's {_TRUTH} holds something else than numbers: {reason(error)}") from error


def _wnids(meta: bytes) -> dict[int, str]:
    """ILSVRC2012_ID -> wnid of the classes that are leaves of the hierarchy, from the devkit's meta.mat."""
    from scipy.io import loadmat

    try:
        synsets: Any = loadmat(BytesIO(meta), squeeze_me=True)["synsets"]
        leaves = [synset for synset in synsets if int(synset["num_children"]) == 0]
        return {int(synset["ILSVRC2012_ID"]): str(synset["WNID"]) for synset in leaves}
    except Exception as error:  # scipy raises many kinds for a damaged file
        raise BenchError(f"the devkit's {_META} cannot be read: {reason(error)}") from error
