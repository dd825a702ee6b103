"""The variables that name images on this machine: whether what they name is there and looks like images."""

from __future__ import annotations

import lzma
import os
import tarfile
import zlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import get_args

from slt_bench.common.libraries import first_line
from slt_bench.common.terminal import printable
from slt_bench.data.sources.imagenet import TRAIN_TAR, VAL_TAR
from slt_bench.doctor.finding import Finding
from slt_bench.params.datasets import Images

_RELEASES = {"cifar10": ("cifar-10-batches-py", "data_batch_1"), "cifar100": ("cifar-100-python", "train")}
_SPLITS = {"train", "test", "val"}
_LOOKED_AT = 100  # members of an archive: all of a compressed one would take minutes


def named_images() -> Iterator[Finding]:
    """A finding for each variable that is set."""
    for variable, source in variables().items():
        if given := os.environ.get(variable):
            try:
                wrong = _wrong(source, Path(given))
            except OSError as error:
                wrong = f"cannot be read ({error.strerror})"
            mend = f"set {variable} to {_right(source)}" if wrong else ""
            yield Finding(variable, f"{printable(given)} {wrong}".rstrip(), mend)


def variables() -> dict[str, str]:
    """Variable -> source, of all sources whose images a variable can name."""
    sources = get_args(Images.model_fields["source"].annotation)
    found = {Images.model_construct(source=source).variable: source for source in sources}
    return {variable: source for variable, source in found.items() if variable}


def _right(source: str) -> str:
    if source == "imagenet":
        return "the directory of the ImageNet release"
    tree = "a folder or tar of split/class/image"
    return f"the release's directory, or to {tree}" if source in _RELEASES else tree


def _wrong(source: str, path: Path) -> str:
    """What is wrong with what a variable names, or nothing."""
    if not path.exists():
        return "does not exist"
    if source == "imagenet":
        return _wrong_release(path)
    if path.is_dir():
        return _wrong_folder(path, *_RELEASES.get(source, ()))
    return _wrong_tar(path) if path.is_file() else "is neither a file nor a folder"


def _wrong_folder(path: Path, release: str = "", part: str = "") -> str:
    """Of split/class/image or, where there is one, of a release: the folder of that name or the one that it lies in."""
    if release and any((folder / part).is_file() for folder in (path / release, path)):
        return ""
    if not (path / "train").is_dir():
        return f"holds neither {release} nor a folder train" if release else "holds no folder train"
    return "" if any(child.is_dir() for child in (path / "train").iterdir()) else "holds no classes in train"


def _wrong_release(path: Path) -> str:
    if not path.is_dir():
        return "is no folder"
    if not ((path / "train").is_dir() or (path / TRAIN_TAR).is_file()):
        return f"holds neither train nor {TRAIN_TAR}"
    if not ((path / "val").is_dir() or (path / VAL_TAR).is_file()):
        return f"holds neither val nor {VAL_TAR}"
    return ""


def _wrong_tar(path: Path) -> str:
    try:
        with tarfile.open(path) as archive:
            names = [member.name for member in islice(archive, _LOOKED_AT)]
    except (tarfile.TarError, EOFError, OSError, lzma.LZMAError, zlib.error, ValueError, OverflowError) as error:
        return f"cannot be read as a tar archive ({first_line(error).rstrip(':')})"
    splits = [name for name in names if _SPLITS & set(PurePosixPath(name).parts)]
    return "" if splits or len(names) == _LOOKED_AT else "holds no folder train"
