"""Damaged and hostile JPEGs are refused or used whole; nothing is read or written beside them."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from slt_bench.data.decode import jpeg
from slt_bench.data.decode.jpeg_parts import cut
from slt_bench.data.encode import encode_image
from tests.toys_images import JPEGS, decoded, guarded_cut, photo

HEIGHT, WIDTH, BOX = 90, 240, np.array([10, 20, 60, 200])
UNCUT = (0, 0, 0, HEIGHT, WIDTH)
Change = Callable[[NDArray[np.uint8]], object]


@pytest.fixture(scope="module")
def whole() -> NDArray[np.uint8]:
    return encode_image(photo(HEIGHT, WIDTH), JPEGS, True).data


def place_of(data: NDArray[np.uint8], *kinds: int) -> int:
    """Where the first segment of such a kind begins."""
    return next(at for at in range(data.size - 1) if data[at] == 0xFF and data[at + 1] in kinds)


def test_a_whole_jpeg_is_cut_and_has_its_own_size_alone(whole: NDArray[np.uint8]) -> None:
    assert guarded_cut(whole, HEIGHT, WIDTH, BOX)[0]
    for height, width in ((HEIGHT, WIDTH), (HEIGHT + 1, WIDTH), (HEIGHT, WIDTH - 1), (WIDTH, HEIGHT), (0, 0), (1, 1)):
        assert jpeg.fits(whole, height, width) == ((height, width) == (HEIGHT, WIDTH))


@pytest.mark.parametrize(("height", "width"), [(HEIGHT + 16, WIDTH), (HEIGHT, WIDTH + 64), (5000, WIDTH), (16, 16)])
def test_a_jpeg_of_another_size_is_not_cut(whole: NDArray[np.uint8], height: int, width: int) -> None:
    assert guarded_cut(whole, height, width, np.array([0, 0, height, width])) == (0, 0, 0, height, width)


def test_memory_that_is_too_small_is_not_written(whole: NDArray[np.uint8]) -> None:
    starts = np.empty(1000, np.int64)
    assert cut(whole, HEIGHT, WIDTH, BOX, np.empty(whole.size, np.uint8), starts) == UNCUT
    assert cut(whole, HEIGHT, WIDTH, BOX, np.empty(whole.size + 4, np.uint8), starts[:3]) == UNCUT


def test_the_header_of_a_jpeg_cut_anywhere_is_read_inside_it(whole: NDArray[np.uint8]) -> None:
    """As Python, which looks after every place that is read; compiled code does not."""
    coded = jpeg.read_header(whole)[1]
    for length in range(whole.size):
        found = jpeg.read_header.py_func(whole[:length])  # type: ignore[attr-defined]
        assert found == (jpeg.read_header(whole) if length >= coded else (0, 0, 0, False))
        assert guarded_cut(whole[:length], HEIGHT, WIDTH, BOX)[0] <= length + 4


@pytest.mark.parametrize("length", [0, 1, 2, 3, 10, 65_535])
@pytest.mark.parametrize("kind", [0xC0, 0xC4, 0xDA, 0xDB, 0xDD])
def test_a_segment_of_any_length_is_left_inside_the_jpeg(whole: NDArray[np.uint8], kind: int, length: int) -> None:
    data = whole.copy()
    at = place_of(data, kind)
    data[at + 2], data[at + 3] = length >> 8, length & 255
    assert jpeg.read_header.py_func(data) == jpeg.read_header(data)  # type: ignore[attr-defined]
    assert guarded_cut(data, HEIGHT, WIDTH, BOX) == UNCUT
    assert not jpeg.decode(data, data.size, HEIGHT, WIDTH, np.empty(HEIGHT * WIDTH * 3, np.uint8))


@pytest.mark.parametrize(
    "change",
    [
        lambda data, at: data.__setitem__(at + 1, 0xD0 + (data[at + 1] + 1) % 8),  # another number
        lambda data, at: data.__setitem__(at + 1, 0xD9),  # the end
        lambda data, at: data.__setitem__(at + 1, 0xC4),  # tables
        lambda data, at: data.__setitem__(at, 0),  # no marker
    ],
)
def test_restart_markers_that_are_not_in_turn_are_not_cut_at(whole: NDArray[np.uint8], change: Callable[..., object]) -> None:
    data = whole.copy()
    change(data, place_of(data, *range(0xD0, 0xD8)))
    assert guarded_cut(data, HEIGHT, WIDTH, BOX) == UNCUT


def test_a_jpeg_with_its_colours_one_after_the_other_is_used_whole(whole: NDArray[np.uint8]) -> None:
    data = whole.copy()
    data[place_of(data, 0xDA) + 4] = 1
    assert guarded_cut(data, HEIGHT, WIDTH, BOX) == UNCUT


def test_bytes_that_fill_up_between_segments_change_nothing(whole: NDArray[np.uint8]) -> None:
    at = place_of(whole, 0xC0)
    filled = np.concatenate([whole[:at], np.full(3, 0xFF, np.uint8), whole[at:]])
    assert jpeg.fits(filled, HEIGHT, WIDTH) and guarded_cut(filled, HEIGHT, WIDTH, BOX)[0]
    assert np.array_equal(decoded(filled, HEIGHT, WIDTH), decoded(whole, HEIGHT, WIDTH))


def test_two_frames_and_other_codes_are_no_jpeg(whole: NDArray[np.uint8]) -> None:
    at = place_of(whole, 0xC0)
    twice, arithmetic = np.concatenate([whole[: at + 19], whole[at:]]), whole.copy()
    arithmetic[at + 1] = 0xC9
    for data in (twice, arithmetic):
        assert not jpeg.fits(data, HEIGHT, WIDTH)
        assert not jpeg.decode(data, data.size, HEIGHT, WIDTH, np.empty(HEIGHT * WIDTH * 3, np.uint8))


def test_grey_and_progressive_jpegs_have_their_size(whole: NDArray[np.uint8]) -> None:
    for picture, options in ((Image.fromarray(photo(90, 240)), {"progressive": True}), (Image.new("L", (240, 90)), {})):
        file = BytesIO()
        picture.save(file, "JPEG", **options)
        data = np.frombuffer(file.getvalue(), np.uint8)
        assert jpeg.fits(data, HEIGHT, WIDTH)
        assert np.array_equal(decoded(data, HEIGHT, WIDTH), np.asarray(Image.open(file).convert("RGB")))
