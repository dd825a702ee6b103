"""Images a second of the loaders on a device."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from benchmarks.gpu.timing import ON_GPU, wait
from benchmarks.steps import DEVICE, Case, step_of
from slt_bench.common import paths
from slt_bench.data.loader import Loader
from slt_bench.data.resident import ResidentLoader, resident_if_possible
from slt_bench.experiment.load import load_experiments
from slt_bench.search.steps.replay import Replay

_FIRST = 5  # batches, among which steps are recorded


def rates(name: str, case: Case, rounds: int) -> list[list[Any]]:
    """Rows of images, loader, workers, images a second alone and with steps of a search, and `_furthest`.

    Args:
        name: of a dataset; there is one row that says so where its images are not prepared.
        case: the network that is searched, and the batch.
        rounds: a fifth of the batches that are timed.
    """
    path, device, rows = paths.dataset_dir(name) / "train.beton", torch.device(DEVICE), []
    if not path.is_file():
        return [[name, "not prepared", "", "", "", ""]]
    view = load_experiments().params.datasets[name]

    def both(loader: Loader) -> list[str]:
        return [f"{_rate(loader, 5 * rounds, work):,.0f}" for work in (_nothing, _search(case))]

    for workers in (1, 8, 16):
        loader = Loader(path, view, case.batch, 0, workers, device=device)
        rows.append([name, "from the file", workers, *both(loader), ""])
    if isinstance(resident := resident_if_possible(loader), ResidentLoader):
        rows.append([name, "on the device", "", *both(resident), f"{_furthest(loader, resident):.3f}"])
    return rows


def _nothing(images: Tensor, labels: Tensor) -> None: ...


def _search(case: Case) -> Callable[[Tensor, Tensor], None]:
    """Steps of a search in bfloat16, recorded where there is a device."""
    step = step_of(replace(case, precision="bfloat16"))
    step.compose(0)
    do_step = Replay(step) if ON_GPU else step
    step.set_rate(0.01)
    return lambda images, labels: do_step(images, labels, 0, 1, 0.01)


def _furthest(loader: Loader, other: Loader) -> float:
    """The largest difference of the first batches of two loaders, in steps of a byte; infinite where labels differ."""
    furthest, scale = 0.0, 1 / torch.from_numpy(loader._inverse_std).to(DEVICE).view(1, 3, 1, 1)
    for (one, labels), (two, others), _ in zip(loader.epoch(0), other.epoch(0), range(10), strict=False):
        if not torch.equal(labels.to(DEVICE), others.to(DEVICE)):
            return float("inf")
        furthest = max(furthest, float(((one.to(DEVICE) - two.to(DEVICE)) * scale).abs().max()))
    return furthest


def _rate(loader: Loader, batches: int, work: Callable[[Tensor, Tensor], None]) -> float:
    """Images a second of the batches of an epoch and some work with each, after the first ones."""
    seen, started = 0, time.perf_counter()
    for number, (images, labels) in enumerate(loader.epoch(0)):
        if number == _FIRST:
            wait()
            seen, started = 0, time.perf_counter()
        seen += len(images)
        work(images, labels)
        if number == batches + _FIRST:
            break
    wait()
    return seen / (time.perf_counter() - started)
