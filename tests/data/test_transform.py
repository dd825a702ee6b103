"""What a network sees of a stored dataset is what torchvision would show it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms.v2 import functional as tv

from slt_bench.common import paths, random
from slt_bench.common.errors import BenchError
from slt_bench.data.beton import BetonFile
from slt_bench.data.decode import jpeg
from slt_bench.data.decode.augment import random_crop_box, uniform
from slt_bench.data.decode.resize import resample, resized_shape
from slt_bench.data.encode import stored_as_jpeg
from slt_bench.data.loader import Loader
from slt_bench.data.prepare import prepare
from slt_bench.data.sources.registry import load_images
from slt_bench.experiment.cell import Cell
from slt_bench.params.datasets import Dataset, Images
from slt_bench.params.machine import Machine
from slt_bench.run.evaluate import evaluate
from slt_bench.search.run import search
from slt_bench.ticket.file import read_ticket
from tests.toys_images import CROPS, PLAIN, SIZES, first, photo, raw_epoch, stored_pictures


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs of many sizes."""
    root = tmp_path_factory.mktemp("photos")
    for split in ("train", "test"):
        for number, (height, width) in enumerate([*SIZES[:4], (600, 777), (480, 640)]):
            path = root / "images" / split / f"n{number % 2:08d}" / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(photo(height, width, number)).save(path)
    return root / "images"


Prepare = Callable[..., Path]


@pytest.fixture(scope="module")
def prepared(folder: Path) -> Prepare:
    """Prepare the photographs, once for all tests that ask for the same options; they leave the files as they are."""

    def make(**options: Any) -> Path:
        directory = folder.parent / "-".join(map(str, options.values()))
        if not directory.is_dir():
            prepare(Images(source="image_folder", path=str(folder), validation=0.34, **options), directory, workers=2)
        return directory

    return make


def test_the_layout_is_read_as_ffcv_reads_it(prepared: Prepare) -> None:
    from ffcv.reader import Reader

    path = prepared(write_mode="proportion", compress_probability=0.5) / "train.beton"
    ours, theirs = BetonFile(path), Reader(str(path))
    for name, mine in (("mode", ours.modes), ("height", ours.heights), ("width", ours.widths), ("data_ptr", ours.begins)):
        assert theirs.metadata["f0"][name].tolist() == mine.tolist()
    sizes = {int(row["ptr"]): int(row["size"]) for row in theirs.alloc_table}
    assert [sizes[begin] for begin in ours.begins.tolist()] == ours.sizes.tolist()
    assert theirs.metadata["f1"].tolist() == ours.labels.tolist()


@pytest.mark.parametrize("mode", ["raw", "jpg"])
def test_evaluation_shows_what_torchvision_would(prepared: Prepare, mode: str) -> None:
    path = prepared(write_mode=mode) / "test.beton"
    (shown,) = [images for images, _ in raw_epoch(Loader(path, CROPS, 64))]
    for ours, picture in zip(shown, stored_pictures(path), strict=True):
        theirs = tv.center_crop(tv.resize(Image.fromarray(picture), [55]), [48])
        assert np.abs(ours.astype(int) - np.asarray(theirs)).max() <= 1


@pytest.mark.parametrize("mode", ["raw", "jpg"])
def test_training_shows_the_crop_resized(prepared: Prepare, mode: str) -> None:
    """Cut out of the JPEG, not halved here: the images are not large enough but for some, which may differ a little."""
    path = prepared(write_mode=mode) / "train.beton"
    loader, pictures, seen = Loader(path, CROPS, 6, seed=3), stored_pictures(path), set[bool]()
    for epoch in range(3):
        key = np.uint64(random.key(3, "augmentation", epoch) & (2**64 - 1))
        ((shown, _),) = list(raw_epoch(loader, epoch))
        for ours, image in zip(shown, random.permutation(3, "order", epoch, 6), strict=True):
            picture = pictures[image]
            height, width = picture.shape[:2]
            y, x, h, w = random_crop_box(first(key, image), height, width, 0.08, 1.0)
            theirs = np.asarray(tv.resize(Image.fromarray(picture[y : y + h, x : x + w]), [48, 48]))
            mirrored = uniform(first(key, image), 63, 0.0, 1.0) < 0.5
            seen.add(mirrored)
            difference = np.abs(ours.astype(int) - (theirs[:, ::-1] if mirrored else theirs)).mean()
            halved = mode == "jpg" and jpeg.halvings(h, w, 48)
            assert difference < (2.0 if halved else 0.5)
    assert seen == {True, False}


@pytest.mark.parametrize("mode", ["raw", "jpg"])
def test_workers_and_processes_change_no_image(prepared: Prepare, mode: str) -> None:
    path = prepared(write_mode=mode) / "train.beton"

    alone = Loader(path, CROPS, 4, seed=1)
    many = Loader(path, CROPS, 4, seed=1, workers=3)
    shares = [Loader(path, CROPS, 4, seed=1, workers=2, share=(rank, 2)) for rank in (0, 1)]
    for epoch in (0, 4):
        ((images, labels),) = list(raw_epoch(alone, epoch))
        ((again, _),) = list(raw_epoch(many, epoch))
        halves = [next(raw_epoch(share, epoch)) for share in shares]
        assert np.array_equal(again, images)
        assert np.array_equal(np.concatenate([half[0] for half in halves]), images)
        assert np.array_equal(np.concatenate([half[1] for half in halves]), labels)


def test_no_flip_is_no_flip(prepared: Prepare) -> None:
    path = prepared(write_mode="raw") / "train.beton"
    plain, flipped = (Loader(path, CROPS.model_copy(update={"flip": flip}), 6, seed=3) for flip in (False, True))
    ((straight, _),), ((some, _),) = list(raw_epoch(plain, 0)), list(raw_epoch(flipped, 0))
    mirrored = [not np.array_equal(a, b) for a, b in zip(straight, some, strict=True)]
    assert 0 < sum(mirrored) < 6
    assert all(np.array_equal(a, b[:, ::-1] if turned else b) for a, b, turned in zip(straight, some, mirrored, strict=True))


@pytest.mark.parametrize("processes", [1, 2, 3, 5])
def test_evaluation_sees_each_image_once_with_any_number_of_processes(digits_directory: Path, processes: int) -> None:
    path = digits_directory / "test.beton"
    whole = [images.tobytes() for images, _ in raw_epoch(Loader(path, PLAIN, 100))]
    dealt = [list(raw_epoch(Loader(path, PLAIN, 100, share=(rank, processes)))) for rank in range(processes)]
    assert sum(len(each) for each in dealt) == len(whole) == 4
    assert [dealt[number % processes][number // processes][0].tobytes() for number in range(4)] == whole


def test_an_epoch_can_begin_in_the_middle(digits_directory: Path) -> None:
    loader = Loader(digits_directory / "train.beton", PLAIN, 100, seed=0)
    whole, rest = list(loader.epoch(3)), list(loader.epoch(3, 9))
    assert len(rest) == len(whole) - 9
    assert all(torch.equal(a[0], b[0]) and torch.equal(a[1], b[1]) for a, b in zip(whole[9:], rest, strict=True))


_FFCVS_LOADER = """
import sys

import numpy as np
import slt_bench.data.ffcv_patch
from ffcv.fields.basics import IntDecoder
from ffcv.fields.rgb_image import CenterCropRGBImageDecoder
from ffcv.loader import Loader, OrderOption

loader = Loader(
    sys.argv[1], batch_size=6, num_workers=1, order=OrderOption.SEQUENTIAL, drop_last=False,
    pipelines={"image": [CenterCropRGBImageDecoder((48, 48), 1)], "label": [IntDecoder()]},
)
((images, labels),) = [(images.copy(), labels.copy()) for images, labels in loader]
np.savez(sys.argv[2], images=images, labels=labels)
"""


@pytest.mark.slow
def test_ffcvs_own_loader_reads_the_files(prepared: Prepare, tmp_path: Path) -> None:
    """What is written is ffcv's format, JPEGs that can be cut included.

    In a process of its own: ffcv's loader changes types of numba's that all compiled code of a process shares.
    """
    path, shown = prepared(write_mode="jpg") / "test.beton", tmp_path / "shown.npz"
    subprocess.run([sys.executable, "-c", _FFCVS_LOADER, str(path), str(shown)], check=True)
    with np.load(shown) as found:
        images, labels = found["images"], found["labels"]
    assert labels[:, 0].tolist() == [0, 0, 0, 1, 1, 1]
    for ours, picture in zip(images, stored_pictures(path), strict=True):
        assert abs(float(ours.mean()) - float(picture.mean())) < 25


def test_images_are_stored_as_asked(prepared: Prepare) -> None:
    path = prepared(write_mode="proportion", compress_probability=0.5, max_resolution=100) / "train.beton"
    stored = BetonFile(path)
    assert sorted(stored.modes.tolist()) == [0, 0, 0, 1, 1, 1]
    assert np.maximum(stored.heights, stored.widths).max() == 100
    assert min(zip(stored.heights.tolist(), stored.widths.tolist(), strict=True)) == (12, 100)
    again = Images(source="image_folder", path="x", write_mode="proportion", compress_probability=0.5, seed=1)
    assert stored_as_jpeg(again, 1000).sum() == 500


def test_threads_change_nothing_of_what_is_written(folder: Path, prepared: Prepare, tmp_path: Path) -> None:
    images = Images(source="image_folder", path=str(folder), validation=0.34, write_mode="jpg")
    with_two = (prepared(write_mode="jpg") / "train.beton").read_bytes()
    for workers in (1, 3):
        prepare(images, tmp_path / str(workers), workers=workers)
        assert (tmp_path / str(workers) / "train.beton").read_bytes() == with_two


def test_an_image_too_large_for_the_format_is_named(tmp_path: Path) -> None:
    for split in ("train", "test"):
        for name in "ab":
            (tmp_path / "images" / split / name).mkdir(parents=True)
            Image.new("RGB", (2000, 1500)).save(tmp_path / "images" / split / name / "0.png")
    with pytest.raises(BenchError, match=r"2000 x 1500 pixels is too large .* give the dataset a max_resolution"):
        prepare(Images(source="image_folder", path=str(tmp_path / "images"), validation=0.5), tmp_path / "data")


def test_images_of_many_sizes_need_a_resolution(prepared: Prepare) -> None:
    with pytest.raises(BenchError, match="holds pictures of many sizes: give its dataset a resolution"):
        Loader(prepared(write_mode="jpg") / "train.beton", PLAIN, 2)


@pytest.mark.skipif("SLT_BENCH_IMAGENET_SAMPLE" not in os.environ, reason="SLT_BENCH_IMAGENET_SAMPLE names no images")
def test_real_images_are_shown_as_torchvision_shows_them() -> None:
    found = load_images(Images(source="imagenet_sample", test_images=100)).test
    differences = []
    for index in range(0, 100, 4):
        picture = found[index]
        height, width = picture.shape[:2]
        rows, columns = resized_shape(height, width, 256)
        grid = np.array([rows, columns, int(np.rint((rows - 224) / 2)), int(np.rint((columns - 224) / 2))])
        ours = np.empty((224, 224, 3), np.uint8)
        row = np.empty(3 * width + 16, np.float32)
        resample(picture.reshape(-1), width, np.array([0.0, 0.0, height, width]), grid, ours, False, row)
        theirs = np.asarray(tv.center_crop(tv.resize(Image.fromarray(picture), [256]), [224]))
        differences.append(np.abs(ours.astype(int) - theirs))
    assert max(each.max() for each in differences) <= 1 and np.mean([each.mean() for each in differences]) < 0.25


def test_a_ticket_knows_how_its_images_are_shown(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_cell: Callable[..., Cell]
) -> None:
    """From pictures of many sizes to a ticket and its test accuracy, which is that of a centre crop."""
    monkeypatch.chdir(tmp_path)
    images = Images(source="image_folder", path=str(folder), validation=0.34, write_mode="jpg")
    prepare(images, paths.dataset_dir("photos"))
    dataset = Dataset(images=images, **CROPS.model_dump())
    cell = make_cell(dataset_name="photos", dataset=dataset, recipe={"batch_size": 2, "epochs": 2, "scale": "dynamic"})
    search(cell, machine=Machine(workers=2))
    ticket = read_ticket(cell.directory / "ticket.safetensors")
    assert (ticket.ticket.spec.image_size, ticket.ticket.spec.resize) == (48, 55)
    metrics = evaluate(cell.directory, paths.dataset_dir("photos"))
    ((pixels, labels),) = Loader(paths.dataset_dir("photos") / "test.beton", CROPS, 64).epoch()
    with torch.no_grad():
        found = ticket.network.plain_module()(pixels).argmax(1)
    assert metrics["images"] == 6 and metrics["top1"] == pytest.approx(100 * float((found == labels).float().mean()))
