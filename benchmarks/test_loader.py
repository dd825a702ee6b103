"""Training batches beside other loaders that do the same work on the same images and cores, in turns.

Of ImageNet, where `SLT_BENCH_IMAGENET_SAMPLE` names some: random resized crop to 224 pixels, flip, normalisation.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np
import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from torchvision import transforms
from torchvision.datasets import ImageFolder

from benchmarks.conftest import VIEW
from slt_bench.data.beton import BetonFile
from slt_bench.data.decode import jpeg
from slt_bench.data.decode.augment import random_crop_box, sequence_start
from slt_bench.data.decode.batch import resize_box
from slt_bench.data.decode.jpeg_parts import cut
from slt_bench.data.decode.transform import Transform
from slt_bench.data.loader import Loader
from slt_bench.data.prepare import prepare
from slt_bench.data.sources.registry import load_images
from slt_bench.data.sources.splits import Files
from slt_bench.params.datasets import Images, View

WORKERS = len(os.sched_getaffinity(0))
ROUNDS = 7
IMAGENET = View(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225], flip=True, resolution=224, resize=256)
real = pytest.mark.skipif("SLT_BENCH_IMAGENET_SAMPLE" not in os.environ, reason="SLT_BENCH_IMAGENET_SAMPLE names no images")


def in_turns(benchmark: BenchmarkFixture, epochs: dict[str, Callable[[], int]]) -> None:
    """An epoch of each, one after the other, several times; the benchmarked one is the first."""
    times: dict[str, list[float]] = {name: [] for name in epochs}
    counts: dict[str, int] = {}
    first, *others = epochs

    def run(name: str) -> None:
        started = perf_counter()
        counts[name] = epochs[name]()
        times[name].append(perf_counter() - started)

    def run_others() -> None:
        for name in others:
            run(name)

    benchmark.pedantic(lambda: run(first), setup=run_others, rounds=ROUNDS, warmup_rounds=1)
    rates = {name: counts[name] / median(taken[1:]) for name, taken in times.items()}
    for name, rate in rates.items():
        benchmark.extra_info[name] = round(rate)
        print(f"\n{name}: {rate:,.0f} images/s; {first} is {rates[first] / rate:.2f} times as fast", end="")


def ours(path: Path, view: View, batch: int) -> Callable[[], int]:
    loader, epochs = Loader(path, view, batch, seed=0, workers=WORKERS), iter(range(1_000_000))
    return lambda: sum(len(labels) for _, labels in loader.epoch(next(epochs)))


def torchvisions(folder: Path, steps: list[object], view: View, batch: int) -> Callable[[], int]:
    """ImageFolder and its transforms in worker processes, as most codes do."""
    steps = [*steps, transforms.RandomHorizontalFlip(), transforms.ToTensor(), transforms.Normalize(view.mean, view.std)]
    loader = torch.utils.data.DataLoader(
        ImageFolder(str(folder), transforms.Compose(steps)), batch, shuffle=True, num_workers=WORKERS,
        persistent_workers=True, drop_last=True,
    )  # fmt: skip
    return lambda: sum(len(labels) for _, labels in loader)


def ffcvs(path: Path, view: View, batch: int) -> Callable[[], int]:
    """ffcv's own loader."""
    from ffcv.fields.basics import IntDecoder
    from ffcv.fields.rgb_image import RandomResizedCropRGBImageDecoder
    from ffcv.loader import Loader as FfcvLoader
    from ffcv.loader import OrderOption
    from ffcv.transforms import NormalizeImage, RandomHorizontalFlip, ToTensor, ToTorchImage

    mean, std = (np.array(each) * 255 for each in (view.mean, view.std))
    decoder = RandomResizedCropRGBImageDecoder((224, 224))
    steps = [decoder, RandomHorizontalFlip(), NormalizeImage(mean, std, np.float32), ToTensor(), ToTorchImage()]
    loader = FfcvLoader(
        str(path), batch_size=batch, num_workers=WORKERS, order=OrderOption.RANDOM,
        pipelines={"image": steps, "label": [IntDecoder(), ToTensor()]},
    )  # fmt: skip

    def epoch() -> int:
        count = sum(len(labels) for _, labels in loader)
        torch.set_num_threads(WORKERS)
        return count

    return epoch


def test_32_pixels(benchmark: BenchmarkFixture, beton_directory: Path, picture_folder: Path) -> None:
    crop = [transforms.RandomCrop(32, padding=4)]
    epochs = {
        "ours": ours(beton_directory / "train.beton", VIEW, 100),
        "torchvision": torchvisions(picture_folder / "train", crop, VIEW, 100),
    }
    in_turns(benchmark, epochs)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The sample as .beton files (full size, 400 px, 256 px raw), and as JPEG files: the release's own, and those stored."""
    root, found = tmp_path_factory.mktemp("imagenet"), {}
    for name, images in {
        "full": Images(source="imagenet_sample", test_images=100, write_mode="jpg"),
        "400": Images(source="imagenet_sample", test_images=100, write_mode="jpg", max_resolution=400),
        "256-raw": Images(source="imagenet_sample", test_images=100, write_mode="raw", max_resolution=256),
    }.items():
        prepare(images, root / name, workers=WORKERS)
        found[name] = root / name / "train.beton"
    train = load_images(Images(source="imagenet_sample", test_images=100)).train
    assert isinstance(train, Files)
    file = BetonFile(found["full"])
    for number, picture in enumerate(train.pictures):
        again = file.bytes_of(number).tobytes()
        for kind, content in (("originals", picture.read()), ("reencoded", again)):
            path = root / kind / f"{number % 10}" / f"{number}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    assert len(file) == len(train.pictures)
    return found | {"originals": root / "originals", "reencoded": root / "reencoded"}


@real
def test_imagenet(benchmark: BenchmarkFixture, stored: dict[str, Path]) -> None:
    crop = [transforms.RandomResizedCrop(224)]
    epochs = {
        "ours, full size": ours(stored["full"], IMAGENET, 100),
        "torchvision, the same JPEGs": torchvisions(stored["reencoded"], crop, IMAGENET, 100),
        "torchvision, the release's JPEGs": torchvisions(stored["originals"], crop, IMAGENET, 100),
        "ffcv's own loader, the same file": ffcvs(stored["full"], IMAGENET, 100),
        "ours, 400 px": ours(stored["400"], IMAGENET, 100),
        "ffcv's own loader, 400 px": ffcvs(stored["400"], IMAGENET, 100),
        "ours, 256 px raw": ours(stored["256-raw"], IMAGENET, 100),
        "ffcv's own loader, 256 px raw": ffcvs(stored["256-raw"], IMAGENET, 100),
    }
    in_turns(benchmark, epochs)


@real
def test_where_the_time_goes(benchmark: BenchmarkFixture, stored: dict[str, Path]) -> None:
    """One core: cutting a JPEG, decoding the part, all of it to a crop; and decoding the whole."""
    transform = Transform(stored["full"], IMAGENET, True)
    files, begins, sizes, _, heights, widths = transform._stored
    memory, out, grid, count = transform._memory(), np.empty((224, 224, 3), np.uint8), np.array([224, 224, 0, 0]), 300
    data = [files[begins[n] : begins[n] + sizes[n]] for n in range(count)]
    boxes = [
        np.array(random_crop_box(np.uint64(sequence_start(np.uint64(1), n)), heights[n], widths[n], 0.08, 1.0))
        for n in range(count)
    ]

    def cut_alone() -> int:
        for n in range(count):
            cut(data[n], heights[n], widths[n], boxes[n], memory.part, memory.starts)
        return count

    def cut_and_decode() -> int:
        for n in range(count):
            size, _, _, height, width = cut(data[n], heights[n], widths[n], boxes[n], memory.part, memory.starts)
            step = 1 << jpeg.halvings(boxes[n][2], boxes[n][3], 224)
            jpeg.decode(memory.part, size, -(-height // step), -(-width // step), memory.pixels)
        return count

    def decode_whole() -> int:
        for n in range(count):
            jpeg.decode(data[n], sizes[n], heights[n], widths[n], memory.pixels)
        return count

    def everything() -> int:
        for n in range(count):
            resize_box(data[n], True, heights[n], widths[n], boxes[n], grid, True, False, out, memory)
        return count

    in_turns(benchmark, {"decode and resize": everything, "cut": cut_alone, "cut and decode": cut_and_decode,
                         "decode all": decode_whole})  # fmt: skip
