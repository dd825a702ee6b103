"""Images a second of the loaders on a device."""

from __future__ import annotations

import time
from typing import Any

import torch

from benchmarks.gpu.timing import wait
from benchmarks.steps import DEVICE
from slt_bench.common import paths
from slt_bench.data.loader import Loader
from slt_bench.data.resident import ResidentLoader, resident_if_possible
from slt_bench.experiment.load import load_experiments

BATCH = 128


def rates(name: str, rounds: int) -> list[list[Any]]:
    """Rows of images, loader, workers, images a second and `_furthest`; one that says so where the images are not prepared."""
    path, device, rows = paths.dataset_dir(name) / "train.beton", torch.device(DEVICE), []
    if not path.is_file():
        return [[name, "not prepared", "", "", ""]]
    view = load_experiments().params.datasets[name]
    for workers in (1, 8, 16):
        loader = Loader(path, view, BATCH, 0, workers, device=device)
        rows.append([name, "from the file", workers, f"{_rate(loader, 5 * rounds):,.0f}", ""])
    if isinstance(resident := resident_if_possible(loader), ResidentLoader):
        rate, furthest = _rate(resident, 5 * rounds), _furthest(loader, resident)
        rows.append([name, "on the device", "", f"{rate:,.0f}", f"{furthest:.3f}"])
    return rows


def _furthest(loader: Loader, other: Loader) -> float:
    """The largest difference of the first batches of two loaders, in steps of a byte; infinite where labels differ."""
    furthest, scale = 0.0, 1 / torch.from_numpy(loader._inverse_std).to(DEVICE).view(1, 3, 1, 1)
    for (one, labels), (two, others), _ in zip(loader.epoch(0), other.epoch(0), range(10), strict=False):
        if not torch.equal(labels.to(DEVICE), others.to(DEVICE)):
            return float("inf")
        furthest = max(furthest, float(((one.to(DEVICE) - two.to(DEVICE)) * scale).abs().max()))
    return furthest


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
