"""A check of the environment variables that name images: whether these exist and look like images of their source."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path, PurePosixPath

from slt_bench.common.libraries import first_line
from slt_bench.common.terminal import printable
from slt_bench.data.sources.fashion_mnist import missing_files
from slt_bench.data.sources.imagenet import TRAIN_TAR, VAL_TAR
from slt_bench.data.sources.pictures import kind_of
from slt_bench.data.sources.tars import DAMAGE
from slt_bench.doctor.finding import Finding
from slt_bench.params.datasets import SOURCES, Images

_RELEASE_FILES = {"cifar10": ("cifar-10-batches-py", "data_batch_1"), "cifar100": ("cifar-100-python", "train")}
_SPLITS = {"train", "test", "val"}
_READ_MEMBERS = 100  # of an archive: to read all of a compressed one would take minutes


def named_images() -> Iterator[Finding]:
    """Yield a finding for each variable that is set."""
    for variable, source in variables().items():
        if location := os.environ.get(variable):
            try:
                fault = _fault(source, Path(location))
            except OSError as error:
                fault = f"cannot be read ({error.strerror})"
            fix = f"set {variable} to {_expected(source)}" if fault else ""
            yield Finding(variable, f"{printable(location)} {fault}".rstrip(), fix)


def variables() -> dict[str, str]:
    """List variable -> source, for all sources whose images a variable can name."""
    named = {Images.model_construct(source=source).variable: source for source in SOURCES}
    return {variable: source for variable, source in named.items() if variable}


def _expected(source: str) -> str:
    """Describe what the variable of a source has to name."""
    if source == "imagenet":
        return "the directory of the ImageNet release"
    if source == "fashion_mnist":
        return "the directory of its four files"
    tree = "a folder or tar of split/class/image"
    return f"the release's directory, or to {tree}" if source in _RELEASE_FILES else tree


def _fault(source: str, path: Path) -> str:
    """Describe what is wrong with the location of a source's images; empty if nothing is."""
    kind = kind_of(path)
    if kind == "nothing":
        return "is neither a file nor a folder" if os.path.lexists(path) else "does not exist"
    if source == "imagenet":
        return _fault_of_imagenet(path) if kind == "folder" else "is no folder"
    if source == "fashion_mnist":
        return _fault_of_fashion_mnist(path) if kind == "folder" else "is no folder"
    return _fault_of_folder(source, path) if kind == "folder" else _fault_of_tar(path)


def _fault_of_folder(source: str, path: Path) -> str:
    """Describe what is wrong with a folder of split/class/image, or of a release.

    Args:
        source: of the images.
        path: the folder; of a release, its own folder or the one above.

    Returns:
        A text; empty if nothing is wrong.
    """
    release, file = _RELEASE_FILES.get(source, ("", ""))
    if release and any((folder / file).is_file() for folder in (path / release, path)):
        return ""
    if not (path / "train").is_dir():
        return f"holds neither {release} nor a folder train" if release else "holds no folder train"
    if not any(child.is_dir() for child in (path / "train").iterdir()):
        return "holds no classes in train"
    is_tested = source == "imagenet_sample" or any((path / name).is_dir() for name in ("test", "val"))  # a sample tests itself
    return "" if is_tested else "holds no folder test or val"


def _fault_of_imagenet(path: Path) -> str:
    """Describe which part of the ImageNet release is missing in a folder; empty if none is."""
    for folder, archive in (("train", TRAIN_TAR), ("val", VAL_TAR)):
        if not ((path / folder).is_dir() or (path / archive).is_file()):
            return f"holds neither {folder} nor {archive}"
    return ""


def _fault_of_fashion_mnist(path: Path) -> str:
    """Describe which of the four files of Fashion-MNIST are missing in a folder; empty if none is."""
    missing = missing_files(path)
    return f"lacks {', '.join(missing)}" if missing else ""


def _fault_of_tar(path: Path) -> str:
    """Describe what is wrong with the beginning of an archive of split/class/image; empty if nothing is."""
    try:
        with tarfile.open(path) as archive:
            names = [member.name for member in islice(archive, _READ_MEMBERS)]
    except DAMAGE as error:
        return f"cannot be read as a tar archive ({first_line(error).rstrip(':')})"
    has_split = any(_SPLITS & set(PurePosixPath(name).parts) for name in names)
    return "" if has_split or len(names) == _READ_MEMBERS else "holds no folder train"
