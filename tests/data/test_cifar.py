"""The release of CIFAR, small, as torchvision reads it."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from slt_bench.common.errors import BenchError
from slt_bench.data.sources.registry import load_images
from slt_bench.data.sources.splits import Arrays
from slt_bench.params.datasets import Images


def cifar_release(root: Path) -> Iterator[tuple[str, bytes]]:
    """A small CIFAR-10 in the release's own format: pickled batches of 20 images, and the names of the classes."""
    for number, name in enumerate([*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]):
        pixels = np.random.default_rng(number).integers(0, 256, (20, 3072), dtype=np.uint8)
        yield name, pickle.dumps({"data": pixels, "labels": [i % 10 for i in range(20)]})
    yield "batches.meta", pickle.dumps({"label_names": list("abcdefghij")})


@pytest.fixture
def cifar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The release's folder, whose checksums torchvision then expects."""
    from hashlib import md5

    from torchvision.datasets import CIFAR10

    base = tmp_path / CIFAR10.base_folder
    base.mkdir()
    sums = {}
    for name, content in cifar_release(tmp_path):
        (base / name).write_bytes(content)
        sums[name] = md5(content).hexdigest()
    monkeypatch.setattr(CIFAR10, "train_list", [[f"data_batch_{i}", sums[f"data_batch_{i}"]] for i in range(1, 6)])
    monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", sums["test_batch"]]])
    monkeypatch.setattr(CIFAR10, "meta", CIFAR10.meta | {"md5": sums["batches.meta"]})
    return base


def test_the_standard_release_is_read_through_torchvision(cifar: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether the variable names its folder, the folder above or a copy of another name."""
    copy = shutil.copytree(cifar, cifar.parent / "elsewhere" / "cifar")
    images = []
    for given in (cifar, cifar.parent, copy):
        monkeypatch.setenv("SLT_BENCH_CIFAR10", str(given))
        found = load_images(Images(source="cifar10"))
        assert isinstance(found.train, Arrays) and isinstance(found.test, Arrays)
        assert found.train.images.shape == (100, 32, 32, 3) and found.test.images.shape == (20, 32, 32, 3)
        assert found.classes == list("abcdefghij") and found.origin == "cifar10, standard release"
        images.append(found.train.images.tobytes())
    assert len(set(images)) == 1
    monkeypatch.setenv("SLT_BENCH_CIFAR100", str(cifar))
    with pytest.raises(BenchError, match="cifar100 is not in"):
        load_images(Images(source="cifar100"))


def test_no_release_and_no_network_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from urllib.error import URLError

    from torchvision.datasets import CIFAR10

    def offline(self: object) -> None:
        raise URLError("offline")

    monkeypatch.setattr(CIFAR10, "download", offline)
    monkeypatch.delenv("SLT_BENCH_CIFAR10", raising=False)
    with pytest.raises(BenchError, match=r"cifar10 is neither in .* nor to be downloaded .* SLT_BENCH_CIFAR10"):
        load_images(Images(source="cifar10"))
    monkeypatch.setenv("SLT_BENCH_CIFAR10", str(tmp_path / "nowhere"))
    with pytest.raises(BenchError, match=r"names .*nowhere, which does not exist"):
        load_images(Images(source="cifar10"))
    monkeypatch.setenv("SLT_BENCH_CIFAR10", str(tmp_path))
    with pytest.raises(BenchError, match="cifar10 is not in"):
        load_images(Images(source="cifar10"))
