"""Prepared images travel without their pixels, and come out as they were."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.gpu import travel
from slt_bench.common import paths
from slt_bench.common.errors import BenchError
from slt_bench.experiment.load import load_experiments
from slt_bench.run.datasets import prepare_dataset

ROOT = Path(__file__).parents[2]


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An archive of ten classes of small pictures, in a project of its own."""
    random = np.random.default_rng(0)
    for split, count in (("train", 5), ("test", 2)):
        for label in range(10):
            folder = tmp_path / "pictures" / split / f"class{label}"
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = random.integers(0, 256, (32, 32, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.png")
    archive = tmp_path / "images.tar.xz"
    with tarfile.open(archive, "w:xz") as file:
        file.add(tmp_path / "pictures", ".")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    shutil.copy(ROOT / "params.yaml", "params.yaml")
    monkeypatch.setenv("SLT_BENCH_CIFAR10", str(archive))
    monkeypatch.setattr(travel, "_download", lambda *_: None)
    return archive


def test_there_and_back(archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare_dataset(load_experiments(), "cifar10")
    files = {
        name: (paths.dataset_dir("cifar10") / name).read_bytes() for name in ("train.beton", "test.beton", "manifest.json")
    }
    travel.pack(tmp_path / "pack")
    packed = sum(path.stat().st_size for path in (tmp_path / "pack").glob("*.frame"))
    assert packed < sum(map(len, files.values())) / 20
    monkeypatch.delenv("SLT_BENCH_CIFAR10")
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path / "there")
    shutil.copy(ROOT / "params.yaml", "params.yaml")
    travel.unpack(tmp_path / "pack")
    assert {name: (paths.dataset_dir("cifar10") / name).read_bytes() for name in files} == files


def test_wheels_are_those_of_the_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[list[str]] = []
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(subprocess, "run", lambda command, **_: calls.append(command))
    travel._download(tmp_path, "3.12")
    (call,) = calls
    wanted = [word for word in call if "==" in word]
    assert sorted(word.split("==")[0] for word in wanted) == sorted(travel.LIBRARIES)
    locked = Path("requirements.lock").read_text()
    assert all(f"\n{word} " in locked for word in wanted) and "--python-version=3.12" in call


def test_another_archive_is_noticed(archive: Path, tmp_path: Path) -> None:
    prepare_dataset(load_experiments(), "cifar10")
    travel.pack(tmp_path / "pack")
    shutil.rmtree("data")
    picture = tmp_path / "pictures" / "train" / "class3" / "1.png"
    Image.new("RGB", (32, 32)).save(picture)
    with tarfile.open(tmp_path / "pack" / "images.tar.xz", "w:xz") as file:
        file.add(tmp_path / "pictures", ".")
    with pytest.raises(BenchError, match=r"train\.beton is damaged, its bytes have changed"):
        travel.unpack(tmp_path / "pack")


def test_without_an_archive_it_says_so(archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLT_BENCH_CIFAR10", str(tmp_path / "pictures"))
    with pytest.raises(BenchError, match="the images travel as an archive: name it in SLT_BENCH_CIFAR10"):
        travel.pack(tmp_path / "pack")
