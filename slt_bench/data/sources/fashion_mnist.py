"""Fashion-MNIST: 70,000 grey pictures of clothes, 28 x 28 pixels (Xiao et al. 2017), as its publishers' four files."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from slt_bench.common import paths
from slt_bench.common.errors import BenchError
from slt_bench.data.sources.splits import Arrays, ImageSet

DEBIAN = Path("/usr/share/datasets/fashion-mnist")  # where Debian's package dataset-fashion-mnist puts them
_DOWNLOADED = paths.DOWNLOADS / "FashionMNIST" / "raw"  # where torchvision does
CLASSES = ["T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"]
_NAMES = {"train": "train", "test": "t10k"}
_IMAGE_FILE, _LABEL_FILE = "images-idx3-ubyte", "labels-idx1-ubyte"
_COUNTS = {"train": 60_000, "test": 10_000}
_SIDE, _IMAGES, _LABELS = 28, 2051, 2049  # and the numbers that a file of images or labels begins with


def fashion_mnist(location: str | None) -> ImageSet:
    """Load Fashion-MNIST: from a directory, from Debian's package, or downloaded by torchvision; grey becomes RGB.

    Args:
        location: a directory of the four files, packed (.gz) or not; None to look for them.

    Returns:
        Train and test images.

    Raises:
        BenchError: a file is missing, damaged or no such file, or cannot be downloaded.
    """
    folder = Path(location) if location else DEBIAN if DEBIAN.is_dir() else _downloaded()
    splits = {name: Arrays(_images(folder, name), _labels(folder, name)) for name in _NAMES}
    return ImageSet(splits["train"], splits["test"], CLASSES, "Fashion-MNIST, original pixels")


def missing_files(folder: Path) -> list[str]:
    """List those of the four files that a folder has neither packed nor unpacked."""
    names = [f"{name}-{kind}" for name in _NAMES.values() for kind in (_IMAGE_FILE, _LABEL_FILE)]
    return [name for name in names if _found(folder, name) is None]


def _found(folder: Path, name: str) -> Path | None:
    """Find a file, packed or not, by its name without .gz."""
    return next((path for path in (folder / f"{name}.gz", folder / name) if path.is_file()), None)


def fashion_mnist_is_here() -> bool:
    """Whether Debian's package is installed, or torchvision has downloaded the files before."""
    return DEBIAN.is_dir() or _DOWNLOADED.is_dir()


def _downloaded() -> Path:
    """Let torchvision download the files, which it verifies, and return their folder."""
    from urllib.error import URLError

    from torchvision.datasets import FashionMNIST

    try:
        FashionMNIST(str(paths.DOWNLOADS), download=True)
    except (URLError, OSError, RuntimeError) as error:
        raise BenchError(
            f"Fashion-MNIST is neither in {DEBIAN} nor to be downloaded ({error}). Install Debian's dataset-fashion-mnist, or "
            "name the directory of its four files in the variable SLT_BENCH_FASHION_MNIST"
        ) from error
    return _DOWNLOADED


def _images(folder: Path, split: str) -> NDArray[np.uint8]:
    """Read the images of a split: uint8[n, 28, 28, 3]."""
    pixels = _content(folder, f"{_NAMES[split]}-{_IMAGE_FILE}", (_IMAGES, _COUNTS[split], _SIDE, _SIDE))
    return np.repeat(pixels.reshape(-1, _SIDE, _SIDE, 1), 3, axis=3)


def _labels(folder: Path, split: str) -> NDArray[np.int64]:
    """Read the labels of a split: int64[n]."""
    labels = _content(folder, f"{_NAMES[split]}-{_LABEL_FILE}", (_LABELS, _COUNTS[split])).astype(np.int64)
    if labels.max() >= len(CLASSES):
        raise BenchError(f"{folder} has a label {labels.max()}; there are {len(CLASSES)} classes")
    return labels


def _content(folder: Path, name: str, header: tuple[int, ...]) -> NDArray[np.uint8]:
    """Read a file of the IDX format, packed or not.

    Args:
        folder: where it lies.
        name: without .gz.
        header: the numbers that it has to begin with: its kind, and its sizes.

    Returns:
        uint8[product of the sizes].

    Raises:
        BenchError: there is no such file, or it is another one or damaged.
    """
    path = _found(folder, name)
    if path is None:
        raise BenchError(f"{folder} has no file {name}.gz or {name}")
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise BenchError(f"{path} is damaged: {error}") from error
    wanted = np.array(header, ">i4").tobytes()
    if not content.startswith(wanted) or len(content) != len(wanted) + np.prod(header[1:]):
        raise BenchError(f"{path} is not {name} of Fashion-MNIST, or is damaged")
    return np.frombuffer(content, np.uint8, offset=len(wanted))
