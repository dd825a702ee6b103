"""Parts of JPEGs, resizing and crops are those of libjpeg, Pillow and torchvision."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torchvision.transforms.v2 import functional as tv

from slt_bench.common.errors import BenchError
from slt_bench.data.decode import jpeg
from slt_bench.data.decode.augment import random_crop_box, uniform
from slt_bench.data.decode.jpeg_parts import cut
from slt_bench.data.decode.resize import resample, resized_shape
from slt_bench.data.encode import encode_image
from tests.toys_images import JPEGS, SIZES, decoded, file_of, first, photo


def parts(height: int, width: int) -> list[NDArray[np.int64]]:
    """Boxes in corners and on borders of blocks, the whole image, and random ones."""
    random = np.random.default_rng(height * width)
    found = [(0, 0, height, width), (0, 0, 1, 1), (height - 1, width - 1, 1, 1)]
    for _ in range(12):
        h, w = int(random.integers(1, height + 1)), int(random.integers(1, width + 1))
        found.append((int(random.integers(0, height - h + 1)), int(random.integers(0, width - w + 1)), h, w))
        found.append((found[-1][0] // 16 * 16, found[-1][1] // 16 * 16, h, w))
    return [np.array(box) for box in found]


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_a_part_of_a_jpeg_has_the_pixels_of_the_whole(height: int, width: int) -> None:
    stored = encode_image(photo(height, width), JPEGS, True)
    whole = decoded(stored.data, height, width)
    assert np.array_equal(whole, np.asarray(Image.open(BytesIO(stored.data.tobytes()))))
    out, starts = np.empty(stored.data.size + 4096, np.uint8), np.empty(100_000, np.int64)
    for box in parts(height, width):
        size, top, left, part_height, part_width = cut(stored.data, height, width, box, out, starts)
        assert size and top <= box[0] and left <= box[1]
        part = decoded(out[:size], part_height, part_width)
        y, x, h, w = box
        assert np.array_equal(part[y - top : y - top + h, x - left : x - left + w], whole[y : y + h, x : x + w])
        assert Image.open(BytesIO(out[:size].tobytes())).size == (part_width, part_height)  # a JPEG that others read too


def test_less_is_decoded_for_a_smaller_part() -> None:
    stored = encode_image(photo(600, 777), JPEGS, True)
    out, starts = np.empty(stored.data.size + 4096, np.uint8), np.empty(100_000, np.int64)
    sizes = [cut(stored.data, 600, 777, np.array([0, 0, side, side]), out, starts)[0] for side in (100, 300, 590)]
    assert sizes[0] < 0.15 * stored.data.size < sizes[1] < 0.5 * stored.data.size < sizes[2]


def test_a_jpeg_that_allows_no_cutting_is_used_whole() -> None:
    """Others wrote it: no restart markers, full chroma, grey, progressive."""
    picture, out, starts = Image.fromarray(photo(90, 120)), np.empty(10**6, np.uint8), np.empty(10**4, np.int64)
    for options in ({}, {"subsampling": 0}, {"progressive": True}, {"restart_marker_rows": 1, "subsampling": 1}):
        data = np.frombuffer(file_of(picture, **options), np.uint8)
        assert cut(data, 90, 120, np.array([5, 5, 20, 20]), out, starts) == (0, 0, 0, 90, 120)


def test_scales_halve_as_long_as_the_target_is_covered() -> None:
    assert [jpeg.halvings(side, 5000, 224) for side in (100, 447, 448, 895, 896, 1792, 4000)] == [0, 0, 1, 1, 2, 3, 3]


def test_damage_inside_a_jpeg_is_noticed() -> None:
    stored = encode_image(photo(90, 120), JPEGS, True)
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
            value.uniform_ = uniform_  # type: ignore[method-assign]
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
        assert tuple(random_crop_box(start, height, width, 0.08, 1.0)) == tuple(theirs)


def test_crops_cover_the_asked_areas_and_shapes() -> None:
    boxes = np.array([random_crop_box(first(9, image), 400, 500, 0.08, 1.0) for image in range(4000)])
    areas, aspects = boxes[:, 2] * boxes[:, 3] / 200_000, boxes[:, 3] / boxes[:, 2]
    assert areas.min() > 0.079 and areas.max() <= 1 and aspects.min() > 0.74 and aspects.max() < 1.35
    assert abs(np.median(np.log(aspects))) < 0.06 and 0.4 < areas.mean() < 0.55
    assert np.all(boxes[:, 0] + boxes[:, 2] <= 400) and np.all(boxes[:, 1] + boxes[:, 3] <= 500)


def test_the_shorter_side_is_resized_as_torchvision_does() -> None:
    for height, width in [*SIZES, (500, 375), (333, 500), (256, 257)]:
        image = Image.fromarray(np.zeros((height, width, 3), np.uint8))
        if min(height, width) > 15:
            assert tuple(resized_shape(height, width, 73)) == tv.resize(image, [73]).size[::-1]


def test_a_jpeg_that_ends_early_is_not_cut() -> None:
    """Its last segments are missing; what lies behind it in the file is not read."""
    stored = encode_image(photo(90, 240), JPEGS, True)
    last = max(at for at in range(stored.data.size - 1) if stored.data[at] == 0xFF and 0xD0 <= stored.data[at + 1] <= 0xD7)
    short = np.concatenate([stored.data[:last], np.array([0xFF, 0xD9], np.uint8)])
    out, starts = np.empty(stored.data.size + 4096, np.uint8), np.empty(1000, np.int64)
    assert cut(short, 90, 240, np.array([80, 200, 10, 40]), out, starts)[0] == 0


def test_an_image_too_wide_for_a_jpeg_is_named() -> None:
    with pytest.raises(BenchError, match=r"70000 x 2 pixels is too large for a JPEG: give the dataset a max_resolution"):
        encode_image(np.zeros((2, 70_000, 3), np.uint8), JPEGS, True)
