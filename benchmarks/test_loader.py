"""Training batches of 32-pixel images with crop and flip: this loader beside torchvision doing the same work."""

from __future__ import annotations

import torch
from torchvision import transforms
from torchvision.datasets import ImageFolder

from benchmarks.conftest import VIEW
from slt_bench.data.loader import Loader

BATCH = 100


def test_ours(benchmark, beton_directory) -> None:
    loader = Loader(beton_directory / "train.beton", VIEW, BATCH, seed=0)
    epochs = iter(range(1_000_000))
    count = benchmark.pedantic(lambda: sum(len(labels) for _, labels in loader.epoch(next(epochs))), rounds=7, warmup_rounds=1)
    tell(benchmark, count)


def test_torchvision(benchmark, picture_folder) -> None:
    """From decoded files: ImageFolder and torchvision's transforms in one worker process, as most codes do."""
    steps = [transforms.RandomCrop(32, padding=4), transforms.RandomHorizontalFlip(), transforms.ToTensor()]
    dataset = ImageFolder(
        str(picture_folder / "train"), transforms.Compose([*steps, transforms.Normalize(VIEW.mean, VIEW.std)])
    )
    loader = torch.utils.data.DataLoader(dataset, BATCH, shuffle=True, num_workers=1, persistent_workers=True, drop_last=True)
    count = benchmark.pedantic(lambda: sum(len(labels) for _, labels in loader), rounds=5, warmup_rounds=1)
    tell(benchmark, count)


def tell(benchmark, images: int) -> None:
    rate = images / benchmark.stats.stats.median
    benchmark.extra_info["images per second"] = round(rate)
    print(f"\n{benchmark.name}: {rate:,.0f} images/s")
