"""Pictures and .beton files that the benchmarks share."""

from __future__ import annotations

from slt_bench.compute.memory import prepare_to_compute

prepare_to_compute()  # as every command does, before torch is imported

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from slt_bench.data.prepare import prepare
from slt_bench.params.datasets import Images, View

VIEW = View(mean=[0.5] * 3, std=[0.25] * 3, crop_padding=4, flip=True)


@pytest.fixture(scope="session")
def picture_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """2,000 random 32-pixel pictures as split/class/image."""
    root = tmp_path_factory.mktemp("pictures")
    random = np.random.default_rng(0)
    for split, count in (("train", 1900), ("test", 100)):
        for number in range(count):
            path = root / split / str(number % 10) / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(random.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(path)
    return root


@pytest.fixture(scope="session")
def beton_directory(picture_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same pictures as .beton files."""
    directory = tmp_path_factory.mktemp("beton") / "pictures"
    prepare(Images(source="image_folder", path=str(picture_folder), size=32, validation=0.05), directory)
    return directory
