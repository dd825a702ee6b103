"""What a network sees is what torchvision would show it: parts of JPEGs, resizing, crops."""

from __future__ import annotations

import os
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torchvision.transforms.v2 import functional as tv

from slt_bench import paths
from slt_bench.cell import Cell
from slt_bench.data import jpeg
from slt_bench.data.beton import prepare
from slt_bench.data.beton_file import BetonFile
from slt_bench.data.draws import draw, random_box, shorter_side, uniform
from slt_bench.data.image_sources import load_images
from slt_bench.data.loader import Loader
from slt_bench.data.resample import resample
from slt_bench.data.stored import store, stored_as_jpeg
from slt_bench.errors import BenchError
from slt_bench.evaluate import evaluate
from slt_bench.params import Dataset, Images, Machine, View
from slt_bench.search import search
from slt_bench.ticket_file import read_ticket
from tests.conftest import PLAIN

SIZES = [(96, 128), (127, 96), (301, 211), (64, 500), (1, 90), (90, 1), (17, 16), (600, 777), (33, 1000)]
JPEGS = Images(source="image_folder", path="images", write_mode="jpg")


def photo(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    """Smooth colours with some grain, as photographs have them."""
    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.integers(0, 256, (5, 7, 3), dtype=np.uint8)).resize(
        (width, height), Image.Resampling.BICUBIC
    )
    return (np.asarray(coarse).astype(int) + random.integers(-9, 10, (height, width, 3))).clip(0, 255).astype(np.uint8)


def decoded(data: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    pixels = np.empty(height * width * 3, np.uint8)
    assert jpeg.decode(data, data.size, height, width, pixels)
    return pixels.reshape(height, width, 3)


def parts(height: int, width: int) -> list[NDArray[np.int64]]:
    """Boxes in corners and on borders of blocks, the whole image, and random ones."""
    random = np.random.default_rng(height * width)
    found = [(0, 0, height, width), (0, 0, 1, 1), (height - 1, width - 1, 1, 1)]
    for _ in range(12):
        h, w = random.integers(1, height + 1), random.integers(1, width + 1)
        found.append((random.integers(0, height - h + 1), random.integers(0, width - w + 1), h, w))
        found.append((found[-1][0] // 16 * 16, found[-1][1] // 16 * 16, h, w))
    return [np.array(box) for box in found]


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_a_part_of_a_jpeg_has_the_pixels_of_the_whole(height: int, width: int) -> None:
    stored = store(photo(height, width), JPEGS, True)
    whole = decoded(stored.data, height, width)
    assert np.array_equal(whole, np.asarray(Image.open(BytesIO(stored.data.tobytes()))))
    out, starts = np.empty(stored.data.size + 4096, np.uint8), np.empty(100_000, np.int64)
    for box in parts(height, width):
        size, top, left, part_height, part_width = jpeg.cut(stored.data, height, width, box, out, starts)
        assert size and top <= box[0] and left <= box[1]
        part = decoded(out[:size], part_height, part_width)
        y, x, h, w = box
        assert np.array_equal(part[y - top : y - top + h, x - left : x - left + w], whole[y : y + h, x : x + w])
        assert Image.open(BytesIO(out[:size].tobytes())).size == (part_width, part_height)  # a JPEG that others read too


def test_less_is_decoded_for_a_smaller_part() -> None:
    stored = store(photo(600, 777), JPEGS, True)
    out, starts = np.empty(stored.data.size + 4096, np.uint8), np.empty(100_000, np.int64)
    sizes = [jpeg.cut(stored.data, 600, 777, np.array([0, 0, side, side]), out, starts)[0] for side in (100, 300, 590)]
    assert sizes[0] < 0.15 * stored.data.size < sizes[1] < 0.5 * stored.data.size < sizes[2]


def test_a_jpeg_that_allows_no_cutting_is_used_whole() -> None:
    """Others wrote it: no restart markers, full chroma, grey, progressive."""
    picture, out, starts = Image.fromarray(photo(90, 120)), np.empty(10**6, np.uint8), np.empty(10**4, np.int64)
    for options in ({}, {"subsampling": 0}, {"progressive": True}, {"restart_marker_rows": 1, "subsampling": 1}):
        file = BytesIO()
        picture.save(file, "JPEG", **options)
        data = np.frombuffer(file.getvalue(), np.uint8)
        assert jpeg.cut(data, 90, 120, np.array([5, 5, 20, 20]), out, starts) == (0, 0, 0, 90, 120)


def test_scales_halve_as_long_as_the_target_is_covered() -> None:
    assert [jpeg.halvings(side, 5000, 224) for side in (100, 447, 448, 895, 896, 1792, 4000)] == [0, 0, 1, 1, 2, 3, 3]


def test_damage_inside_a_jpeg_is_noticed() -> None:
    stored = store(photo(90, 120), JPEGS, True)
    pixels = np.empty(90 * 120 * 3, np.uint8)
    assert not jpeg.decode(stored.data[:40].copy(), 40, 90, 120, pixels)


def resampled(picture: NDArray[np.uint8], box: tuple[int, ...], side: int) -> NDArray[np.uint8]:
    out = np.empty((side, side, 3), np.uint8)
    row = np.empty(3 * picture.shape[1] + 16, np.float32)
    grid = np.array([side, side, 0, 0])
    resample(picture.reshape(-1), picture.shape[1], np.array(box, np.float64), grid, out, False, row)
    return out


@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.parametrize("side", [1, 32, 224])
def test_resizing_is_pillows_within_one_level(height: int, width: int, side: int) -> None:
    picture = photo(height, width)
    for y, x, h, w in parts(height, width)[:9]:
        ours = resampled(picture, (y, x, h, w), side)
        theirs = np.asarray(Image.fromarray(picture[y : y + h, x : x + w]).resize((side, side), Image.Resampling.BILINEAR))
        assert np.abs(ours.astype(int) - theirs).max() <= 1


def first(key: int | np.uint64, image: int) -> np.uint64:
    """The start of an image's sequence (numba gives it back as a plain int)."""
    return np.uint64(draw(np.uint64(key), image))


def test_crops_are_torchvisions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own `get_params`, fed with our random numbers: four a try, for area, aspect, top and left."""
    from torchvision.transforms import RandomResizedCrop

    for image, (height, width) in enumerate(SIZES * 20):
        start, drawn = first(5, image), [0]

        def uniform_(low: float, high: float, start: np.uint64 = start, drawn: list[int] = drawn) -> torch.Tensor:
            number = 4 * (drawn[0] // 2) + drawn[0] % 2
            drawn[0] += 1
            return torch.tensor([uniform(start, number, float(low), float(high))], dtype=torch.float64)

        def empty(size: int, uniform_: Callable[..., torch.Tensor] = uniform_) -> torch.Tensor:
            value = torch.zeros(1)
            value.uniform_ = uniform_  # type: ignore[method-assign,assignment]
            return value

        places: list[int] = []

        def randint(
            low: int,
            high: int,
            size: tuple[int],
            start: np.uint64 = start,
            drawn: list[int] = drawn,
            places: list[int] = places,
        ) -> torch.Tensor:
            places.append(0)
            return torch.tensor([int(uniform(start, 4 * (drawn[0] // 2 - 1) + 1 + len(places), 0.0, float(high)))])

        with monkeypatch.context() as patched:
            patched.setattr(torch, "empty", empty)
            patched.setattr(torch, "randint", randint)
            theirs = RandomResizedCrop.get_params(torch.zeros(3, 1, 1).expand(3, height, width), [0.08, 1.0], [3 / 4, 4 / 3])
        assert tuple(random_box(start, height, width, 0.08, 1.0)) == tuple(theirs)


def test_crops_cover_the_asked_areas_and_shapes() -> None:
    boxes = np.array([random_box(first(9, image), 400, 500, 0.08, 1.0) for image in range(4000)])
    areas, aspects = boxes[:, 2] * boxes[:, 3] / 200_000, boxes[:, 3] / boxes[:, 2]
    assert areas.min() > 0.079 and areas.max() <= 1 and aspects.min() > 0.74 and aspects.max() < 1.35
    assert abs(np.median(np.log(aspects))) < 0.06 and 0.4 < areas.mean() < 0.55
    assert np.all(boxes[:, 0] + boxes[:, 2] <= 400) and np.all(boxes[:, 1] + boxes[:, 3] <= 500)


def test_the_shorter_side_is_resized_as_torchvision_does() -> None:
    for height, width in [*SIZES, (500, 375), (333, 500), (256, 257)]:
        image = Image.fromarray(np.zeros((height, width, 3), np.uint8))
        if min(height, width) > 15:
            assert tuple(shorter_side(height, width, 73)) == tv.resize(image, [73]).size[::-1]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Photographs of many sizes."""
    for split in ("train", "test"):
        for number, (height, width) in enumerate([*SIZES[:4], (600, 777), (480, 640)]):
            path = tmp_path / "images" / split / f"n{number % 2:08d}" / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(photo(height, width, number)).save(path)
    return tmp_path / "images"


VIEW = View(mean=[0.5] * 3, std=[0.25] * 3, flip=True, resolution=48, resize=55)
Prepare = Callable[..., Path]


@pytest.fixture
def prepared(folder: Path, tmp_path: Path) -> Prepare:
    def make(**options: object) -> Path:
        directory = tmp_path / "-".join(map(str, options.values()))
        prepare(Images(source="image_folder", path=str(folder), validation=0.34, **options), directory, workers=2)
        return directory

    return make


def stored_pictures(path: Path) -> list[NDArray[np.uint8]]:
    """As anybody would decode them."""
    file, found = BetonFile(path), []
    for number in range(len(file)):
        data, shape = file.bytes_of(number), (file.heights[number], file.widths[number], 3)
        found.append(data.reshape(shape) if file.modes[number] else np.asarray(Image.open(BytesIO(data.tobytes()))))
    return found


def test_the_layout_is_read_as_ffcv_reads_it(prepared: Prepare) -> None:
    from ffcv.reader import Reader

    path = prepared(write_mode="proportion", compress_probability=0.5) / "train.beton"
    ours, theirs = BetonFile(path), Reader(str(path))
    for name, mine in (("mode", ours.modes), ("height", ours.heights), ("width", ours.widths), ("data_ptr", ours.begins)):
        assert theirs.metadata["f0"][name].tolist() == mine.tolist()
    sizes = {int(row["ptr"]): int(row["size"]) for row in theirs.alloc_table}
    assert [sizes[begin] for begin in ours.begins.tolist()] == ours.sizes.tolist()
    assert theirs.metadata["f1"].tolist() == ours.labels.tolist()


def test_what_is_no_beton_file_is_named(tmp_path: Path) -> None:
    for content in (b"?", b"?" * 5000):
        (tmp_path / "x.beton").write_bytes(content)
        with pytest.raises(BenchError, match=r"x\.beton is no \.beton file"):
            BetonFile(tmp_path / "x.beton")


@pytest.mark.parametrize("mode", ["raw", "jpg"])
def test_evaluation_shows_what_torchvision_would(prepared: Prepare, mode: str) -> None:
    path = prepared(write_mode=mode) / "test.beton"
    (shown,) = [images for images, _ in Loader(path, VIEW, 64).raw_epoch()]
    for ours, picture in zip(shown, stored_pictures(path), strict=True):
        theirs = tv.center_crop(tv.resize(Image.fromarray(picture), [55]), [48])
        assert np.abs(ours.astype(int) - np.asarray(theirs)).max() <= 1


@pytest.mark.parametrize("mode", ["raw", "jpg"])
def test_training_shows_the_crop_resized(prepared: Prepare, mode: str) -> None:
    """Cut out of the JPEG, not halved here: the images are not large enough but for some, which may differ a little."""
    path = prepared(write_mode=mode) / "train.beton"
    loader, pictures, seen = Loader(path, VIEW, 6, seed=3), stored_pictures(path), set[bool]()
    from slt_bench import streams

    for epoch in range(3):
        key = np.uint64(streams.key(3, "augmentation", epoch) & (2**64 - 1))
        ((shown, _),) = list(loader.raw_epoch(epoch))
        for ours, image in zip(shown, streams.permutation(3, "order", epoch, 6), strict=True):
            picture = pictures[image]
            y, x, h, w = random_box(first(key, image), *picture.shape[:2], 0.08, 1.0)
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

    alone = Loader(path, VIEW, 4, seed=1)
    many = Loader(path, VIEW, 4, seed=1, workers=3)
    shares = [Loader(path, VIEW, 4, seed=1, workers=2, share=(rank, 2)) for rank in (0, 1)]
    for epoch in (0, 4):
        ((images, labels),) = list(alone.raw_epoch(epoch))
        ((again, _),) = list(many.raw_epoch(epoch))
        halves = [next(share.raw_epoch(epoch)) for share in shares]
        assert np.array_equal(again, images)
        assert np.array_equal(np.concatenate([half[0] for half in halves]), images)
        assert np.array_equal(np.concatenate([half[1] for half in halves]), labels)


def test_no_flip_is_no_flip(prepared: Prepare) -> None:
    path = prepared(write_mode="raw") / "train.beton"
    plain, flipped = (Loader(path, VIEW.model_copy(update={"flip": flip}), 6, seed=3) for flip in (False, True))
    ((straight, _),), ((some, _),) = list(plain.raw_epoch(0)), list(flipped.raw_epoch(0))
    mirrored = [not np.array_equal(a, b) for a, b in zip(straight, some, strict=True)]
    assert 0 < sum(mirrored) < 6
    assert all(np.array_equal(a, b[:, ::-1] if turned else b) for a, b, turned in zip(straight, some, mirrored, strict=True))


def test_a_jpeg_that_ends_early_is_not_cut() -> None:
    """Its last segments are missing; what lies behind it in the file is not read."""
    stored = store(photo(90, 240), JPEGS, True)
    last = max(at for at in range(stored.data.size - 1) if stored.data[at] == 0xFF and 0xD0 <= stored.data[at + 1] <= 0xD7)
    short = np.concatenate([stored.data[:last], np.array([0xFF, 0xD9], np.uint8)])
    out, starts = np.empty(stored.data.size + 4096, np.uint8), np.empty(1000, np.int64)
    assert jpeg.cut(short, 90, 240, np.array([80, 200, 10, 40]), out, starts)[0] == 0


def test_an_image_too_wide_for_a_jpeg_is_named() -> None:
    with pytest.raises(BenchError, match=r"70000 x 2 pixels is too large for a JPEG: give the dataset a max_resolution"):
        store(np.zeros((2, 70_000, 3), np.uint8), JPEGS, True)


@pytest.mark.parametrize("processes", [1, 2, 3, 5])
def test_evaluation_sees_each_image_once_with_any_number_of_processes(digits_directory: Path, processes: int) -> None:
    path = digits_directory / "test.beton"
    whole = [images.tobytes() for images, _ in Loader(path, PLAIN, 100).raw_epoch()]
    dealt = [list(Loader(path, PLAIN, 100, share=(rank, processes)).raw_epoch()) for rank in range(processes)]
    assert sum(len(each) for each in dealt) == len(whole) == 4
    assert [dealt[number % processes][number // processes][0].tobytes() for number in range(4)] == whole


def test_an_epoch_can_begin_in_the_middle(digits_directory: Path) -> None:
    loader = Loader(digits_directory / "train.beton", PLAIN, 100, seed=0)
    whole, rest = list(loader.epoch(3)), list(loader.epoch(3, 9))
    assert len(rest) == len(whole) - 9
    assert all(torch.equal(a[0], b[0]) and torch.equal(a[1], b[1]) for a, b in zip(whole[9:], rest, strict=True))


def test_ffcvs_own_loader_reads_the_files(prepared: Prepare) -> None:
    """What is written is ffcv's format, JPEGs that can be cut included."""
    from ffcv.fields.basics import IntDecoder
    from ffcv.fields.rgb_image import CenterCropRGBImageDecoder
    from ffcv.loader import Loader as FfcvLoader
    from ffcv.loader import OrderOption

    path = prepared(write_mode="jpg") / "test.beton"
    threads = torch.get_num_threads()
    loader = FfcvLoader(
        str(path), batch_size=6, num_workers=1, order=OrderOption.SEQUENTIAL, drop_last=False,
        pipelines={"image": [CenterCropRGBImageDecoder((48, 48), 1)], "label": [IntDecoder()]},
    )  # fmt: skip
    ((images, labels),) = [(images.copy(), labels.copy()) for images, labels in loader]
    torch.set_num_threads(threads)
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


@pytest.mark.parametrize("workers", [1, 3])
def test_threads_change_nothing_of_what_is_written(folder: Path, tmp_path: Path, workers: int) -> None:
    images = Images(source="image_folder", path=str(folder), validation=0.34, write_mode="jpg")
    prepare(images, tmp_path / "one", workers=1)
    prepare(images, tmp_path / "more", workers=workers)
    assert (tmp_path / "one" / "train.beton").read_bytes() == (tmp_path / "more" / "train.beton").read_bytes()


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
        rows, columns = shorter_side(height, width, 256)
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
    dataset = Dataset(images=images, **VIEW.model_dump())
    cell = make_cell(dataset_name="photos", dataset=dataset, recipe={"batch_size": 2, "epochs": 2, "scale": "dynamic"})
    search(cell, machine=Machine(workers=2))
    ticket = read_ticket(paths.cell_dir(cell.id) / "ticket.safetensors")
    assert (ticket.ticket.spec.image_size, ticket.ticket.spec.resize) == (48, 55)
    metrics = evaluate(paths.cell_dir(cell.id), paths.dataset_dir("photos"))
    ((pixels, labels),) = Loader(paths.dataset_dir("photos") / "test.beton", VIEW, 64).epoch()
    with torch.no_grad():
        found = ticket.network.plain_module()(pixels).argmax(1)
    assert metrics["images"] == 6 and metrics["top1"] == pytest.approx(100 * float((found == labels).float().mean()))
