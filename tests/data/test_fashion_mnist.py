"""Fashion-MNIST's four files, packed and not, and what is said of others."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from slt_bench.common.errors import BenchError
from slt_bench.data.sources import fashion_mnist as source
from slt_bench.data.sources.registry import load_images
from slt_bench.params.datasets import Images

COUNTS = {"train": 40, "test": 20}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Files of the same form with fewer pictures; those of the test set are packed."""
    monkeypatch.setattr(source, "_COUNTS", COUNTS)
    monkeypatch.setenv("SLT_BENCH_FASHION_MNIST", str(tmp_path))
    random = np.random.default_rng(0)
    for split, name in source._NAMES.items():
        count, packed = COUNTS[split], split == "test"
        pixels = random.integers(0, 256, count * 28 * 28, dtype=np.uint8)
        labels = np.arange(count, dtype=np.uint8) % 10
        for kind, header, content in (
            ("images-idx3", (2051, count, 28, 28), pixels),
            ("labels-idx1", (2049, count), labels),
        ):
            data = np.array(header, ">i4").tobytes() + content.tobytes()
            path = tmp_path / f"{name}-{kind}-ubyte{'.gz' if packed else ''}"
            path.write_bytes(gzip.compress(data) if packed else data)
    return tmp_path


def test_pictures_and_labels(folder: Path) -> None:
    found = load_images(Images(source="fashion_mnist"))
    assert len(found.classes) == 10 and found.origin == "Fashion-MNIST, original pixels"
    for split, count in ((found.train, 40), (found.test, 20)):
        assert split.labels.tolist() == [n % 10 for n in range(count)]
        assert split[3].shape == (28, 28, 3) and (split[3] == split[3][..., :1]).all()
    raw = np.frombuffer((folder / "train-images-idx3-ubyte").read_bytes(), np.uint8, offset=16).reshape(-1, 28, 28)
    assert (np.asarray(found.train[7])[..., 0] == raw[7]).all()


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda path: path.unlink(), r"has no file t10k-labels-idx1-ubyte\.gz or"),
        (lambda path: path.write_bytes(path.read_bytes()[:-9]), "is damaged"),
        (lambda path: path.write_bytes(gzip.compress(b"something else")), "is not t10k-labels-idx1-ubyte of Fashion-MNIST"),
        (lambda path: path.write_bytes(gzip.compress(np.array([2049, 20], ">i4").tobytes() + bytes([10]) * 20)), "a label 10"),
    ],
)
def test_other_files(folder: Path, harm: Callable[[Path], object], message: str) -> None:
    harm(folder / "t10k-labels-idx1-ubyte.gz")
    with pytest.raises(BenchError, match=message):
        load_images(Images(source="fashion_mnist"))
