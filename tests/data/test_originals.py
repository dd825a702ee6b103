"""Images that are stored as they are in their files: all test images, and those of train with write_mode original."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError
from torchvision.transforms.v2 import functional as tv

from slt_bench.common.errors import BenchError
from slt_bench.data import encoded_split
from slt_bench.data.beton import JPG, RAW, BetonFile
from slt_bench.data.encode import encode_original
from slt_bench.data.loader import Loader
from slt_bench.data.manifest import FILES
from slt_bench.data.prepare import prepare
from slt_bench.data.sources.pictures import Picture, decode
from slt_bench.data.sources.registry import load_images
from slt_bench.data.sources.splits import Arrays
from slt_bench.params.datasets import Images
from tests.toys_images import CROPS, file_of, photo, raw_epoch


def jpeg(seed: int, mode: str = "RGB", **options: Any) -> bytes:
    return file_of(Image.fromarray(photo(90, 130 + seed, seed)).convert(mode), **options)


def png(seed: int) -> bytes:
    return file_of(Image.fromarray(photo(130, 100, seed)), "PNG")


KINDS: list[tuple[Callable[[int], bytes], int]] = [
    (jpeg, JPG),
    (lambda seed: jpeg(seed, quality=30, progressive=True), JPG),
    (lambda seed: jpeg(seed, subsampling=0, restart_marker_rows=1), JPG),
    (lambda seed: jpeg(seed, restart_marker_blocks=3), JPG),
    (lambda seed: jpeg(seed, "L"), JPG),
    (lambda seed: jpeg(seed, "CMYK"), RAW),
    (png, RAW),
    (lambda seed: jpeg(seed)[:-2] + b"some garbage\xff\xd9", RAW),  # Pillow is silent, libjpeg-turbo warns
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """All kinds, in two classes of train and test."""
    for split in ("train", "test"):
        for number, (make, _) in enumerate(KINDS):
            path = tmp_path / "images" / split / "ab"[number % 2] / f"{number}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(make(number))
    return tmp_path / "images"


def files(folder: Path, split: str) -> list[Path]:
    return sorted((folder / split).glob("*/*"))


def prepared(folder: Path, **options: Any) -> Path:
    directory = folder.parent / "data"
    prepare(Images(source="image_folder", path=str(folder), validation=0.34, **options), directory, workers=2)
    return directory


@pytest.mark.parametrize("options", [{}, {"write_mode": "jpg", "jpeg_quality": 20, "max_resolution": 64}])
def test_test_images_are_stored_as_they_are(folder: Path, options: dict[str, Any]) -> None:
    """JPEGs that a loader decodes as Pillow does byte for byte, everything else as pixels in its own size."""
    stored = BetonFile(prepared(folder, **options) / "test.beton")
    for number, path in enumerate(files(folder, "test")):
        mode = KINDS[int(path.stem)][1]
        assert int(stored.modes[number]) == mode
        pixels = decode(Picture(path))
        assert (stored.heights[number], stored.widths[number]) == pixels.shape[:2]
        expected = path.read_bytes() if mode == JPG else pixels.tobytes()
        assert stored.bytes_of(number).tobytes() == expected


def test_what_an_evaluation_sees_is_what_torchvision_makes_of_the_files(folder: Path) -> None:
    path = prepared(folder, write_mode="jpg", jpeg_quality=20, max_resolution=64) / "test.beton"
    (shown,) = [images for images, _ in raw_epoch(Loader(path, CROPS, 64))]
    for ours, file in zip(shown, files(folder, "test"), strict=True):
        theirs = tv.center_crop(tv.resize(Image.open(file).convert("RGB"), [55]), [48])
        assert np.abs(ours.astype(int) - np.asarray(theirs)).max() <= 1


def test_training_on_originals_sees_what_training_on_their_pixels_sees(folder: Path, tmp_path: Path) -> None:
    """Crops of JPEGs with restart markers are cut out; that changes nothing but for crops of a lower scale."""
    originals = prepared(folder, write_mode="original")
    assert BetonFile(originals / "train.beton").bytes_of(0).tobytes() == files(folder, "train")[0].read_bytes()
    prepare(Images(source="image_folder", path=str(folder), validation=0.34), tmp_path / "pixels")
    view = CROPS.model_copy(update={"resolution": 80, "resize": 80})  # no crop is twice as large
    for epoch in range(4):
        one, other = (
            next(raw_epoch(Loader(each / "train.beton", view, 8, seed=1), epoch)) for each in (originals, tmp_path / "pixels")
        )
        assert np.abs(one[0].astype(int) - other[0]).max() <= 1 and np.array_equal(one[1], other[1])


def test_a_jpeg_that_the_loader_would_refuse_is_stored_as_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    picture = Picture(Path("x"), content=jpeg(0))
    assert encode_original(picture).mode == JPG
    monkeypatch.setattr("slt_bench.data.encode.fits", lambda *_: False)
    assert encode_original(picture).mode == RAW


def test_a_jpeg_of_which_parts_would_be_wrong_is_stored_as_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    picture = Picture(Path("x"), content=jpeg(0, restart_marker_blocks=3))
    assert encode_original(picture).mode == JPG

    def wrong(data: object, height: int, width: int, box: np.ndarray, out: np.ndarray, starts: object) -> tuple[int, ...]:
        _, other = cv2.imencode(".jpg", np.zeros((height, width, 3), np.uint8))
        out[: other.size] = other.reshape(-1)
        return other.size, 0, 0, height, width

    monkeypatch.setattr("slt_bench.data.encode.cut", wrong)
    stored = encode_original(picture)
    assert stored.mode == RAW and stored.data.tobytes() == decode(picture).tobytes()


def small_tree(root: Path) -> Path:
    """Make a folder of two classes with a small picture each in train and test."""
    for split in ("train", "test"):
        for name in "ab":
            (root / split / name).mkdir(parents=True)
            Image.new("RGB", (40, 30)).save(root / split / name / "0.png")
    return root


def test_a_picture_larger_than_a_page_of_ffcv_is_stored(tmp_path: Path) -> None:
    """A JPEG of more than a page, and a small file whose pixels are as much; the space for them was estimated well."""
    root = small_tree(tmp_path / "images")
    noise = np.random.default_rng(0).integers(0, 256, (1900, 1900, 3), dtype=np.uint8)
    noise_file, plain_file = root / "test/a/noise.jpg", root / "test/b/plain.png"
    Image.fromarray(noise).save(noise_file, quality=100, subsampling=0)
    Image.new("RGB", (2400, 1800), "teal").save(plain_file)
    assert noise_file.stat().st_size > 8 << 20 and plain_file.stat().st_size < 1 << 20
    directory = prepared(root)
    stored = BetonFile(directory / "test.beton")
    assert stored.sizes.tolist() == [3600, noise_file.stat().st_size, 3600, 3 * 2400 * 1800]
    assert stored.bytes_of(1).tobytes() == noise_file.read_bytes()
    images = Images(source="image_folder", path=str(root))
    source = load_images(images)
    splits = [
        encoded_split.EncodedSplit(source.train, images, "train"),
        encoded_split.EncodedSplit(source.test, images, "test"),
    ]
    taken = sum((directory / f"{name}.beton").stat().st_size for name in FILES)
    assert taken < (64 << 20) + encoded_split.estimate_bytes(splits) < 4 * taken


def test_pixels_that_need_a_larger_page_than_the_files_get_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("RGB", (2400, 1800), "teal").save(small_tree(tmp_path / "images") / "test/b/plain.png", compress_level=1)
    path = prepared(tmp_path / "images") / "test.beton"
    assert int(np.fromfile(path, "<u4", 2)[1]) == 16 << 20 and BetonFile(path).sizes.max() == 3 * 2400 * 1800
    monkeypatch.setattr(encoded_split, "_LARGEST_PAGE", 8 << 20)
    with pytest.raises(BenchError, match=r"b/plain\.png: an image of 2400 x 1800 pixels is too large .* as pixels: shrink"):
        prepared(tmp_path / "images")


def test_a_picture_wider_than_the_format_can_say_is_named(tmp_path: Path) -> None:
    Image.new("RGB", (70_000, 20)).save(small_tree(tmp_path / "images") / "test/b/plain.png")
    with pytest.raises(BenchError, match=r"b/plain\.png: an image of 70000 x 20 pixels is too large"):
        prepared(tmp_path / "images")


def test_images_of_one_size_and_arrays_are_stored_as_pixels() -> None:
    images = Images(source="digits", write_mode="jpg")
    arrays = Arrays(np.zeros((3, 8, 8, 3), np.uint8), np.zeros(3, np.int64))
    assert [encoded_split.EncodedSplit(arrays, images, name)[0].mode for name in ("train", "test")] == [JPG, RAW]
    assert images.stored_how == "training images as JPEG of quality 90; test images as pixels"


def test_how_images_are_stored_is_said_in_words() -> None:
    def how(**options: Any) -> str:
        return Images(source="image_folder", path="x", **options).stored_how

    assert Images(source="cifar10").stored_how == how(size=32) == "as pixels"
    assert how(write_mode="original") == "as they are"
    assert how() == "training images as pixels; test images as they are"
    large = how(write_mode="jpg", max_resolution=500)
    assert large == "training images as JPEG of quality 90, at most 500 pixels; test images as they are"
    mixed = how(write_mode="proportion", compress_probability=0.5, jpeg_quality=80)
    assert mixed == "training images 50 % as JPEG of quality 80, the others as pixels; test images as they are"


@pytest.mark.parametrize("options", [{"max_resolution": 100}, {"size": 32}, {"source": "cifar10", "path": None}])
def test_originals_are_not_shrunk(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="write_mode original is for images that keep their own size"):
        Images(**({"source": "image_folder", "path": "x", "write_mode": "original"} | options))
