"""Images a second of the loaders on a device."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu.timing import wait
from benchmarks.steps import DEVICE
from slt_bench.data.loader import Loader
from slt_bench.data.resident import ResidentLoader
from slt_bench.params.datasets import View

VIEW = View(mean=[0.5] * 3, std=[0.25] * 3, crop_padding=4, flip=True)


def rates(directory: Path, rounds: int) -> list[list[Any]]:
    """Rows of images, loader, workers and images a second; none where the images are not prepared."""
    path, device, rows = directory / "train.beton", torch.device(DEVICE), []
    if not path.is_file():
        return [[directory.name, "not prepared", "", ""]]
    for is_resident, workers in ((True, 1), (False, 1), (False, 8)):
        loader = Loader(path, VIEW, 128, 0, workers, device=device)
        loader = ResidentLoader(loader) if is_resident else loader
        rows.append([directory.name, type(loader).__name__, workers, f"{_rate(loader, 10 * rounds):,.0f}"])
    return rows


def _rate(loader: Loader, batches: int) -> float:
    """Images a second of the batches of an epoch, after the first ones."""
    seen, started = 0, time.perf_counter()
    for number, (images, _) in enumerate(loader.epoch(0)):
        if number == 5:
            wait()
            seen, started = 0, time.perf_counter()
        seen += len(images)
        if number == batches + 5:
            break
    wait()
    return seen / (time.perf_counter() - started)
