"""A .beton file is read as ffcv reads it, and a damaged or forged one is refused before anything is taken from it."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import numpy as np
import pytest

from slt_bench.common.errors import BenchError
from slt_bench.data.beton import JPG, RAW, BetonFile
from slt_bench.data.decode.transform import Transform
from slt_bench.data.encode import EncodedImage, encode_image
from slt_bench.data.loader import Loader
from tests.tiny_beton import TinyBeton, tiny_beton
from tests.toys_images import JPEGS, PIXELS, PLAIN, TINY_CROPS, photo

Forge = Callable[[TinyBeton], object]


def tiny(*modes: int) -> TinyBeton:
    """Photographs of 24 x 40 pixels and a little more."""
    return tiny_beton([(mode, 24, 40 + number) for number, mode in enumerate(modes)])


def test_a_tiny_file_is_whole(tmp_path: Path) -> None:
    file = BetonFile(tiny(JPG, RAW, RAW).write(tmp_path / "x.beton"))
    assert (file.modes.tolist(), file.heights.tolist(), file.widths.tolist()) == ([0, 1, 1], [24] * 3, [40, 41, 42])
    assert file.labels.tolist() == [0, 1, 2] and file.image_size is None
    assert np.array_equal(file.bytes_of(2), photo(24, 42, 2).reshape(-1))


def test_the_order_of_the_allocation_table_does_not_matter(tmp_path: Path) -> None:
    one, two = tiny(JPG, RAW, JPG), tiny(JPG, RAW, JPG)
    two.table = two.table[[2, 0, 1]]
    files = [BetonFile(each.write(tmp_path / f"{number}.beton")) for number, each in enumerate((one, two))]
    assert all(np.array_equal(files[0].bytes_of(number), files[1].bytes_of(number)) for number in range(3))


def test_pictures_of_one_size_have_a_side(tmp_path: Path) -> None:
    stored = encode_image(photo(9, 9), PIXELS, False)
    assert BetonFile(TinyBeton([stored, stored], [0, 0]).write(tmp_path / "x.beton")).image_size == 9


@pytest.mark.parametrize(
    ("forge", "message"),
    [
        (lambda b: b.header.__setitem__("version", 3), "it has version 3 and 2 fields"),
        (lambda b: b.header.__setitem__("fields", 0), "it has version 2 and 0 fields"),
        (lambda b: b.header.__setitem__("fields", 65_535), "it has version 2 and 65535 fields"),
        (lambda b: b.fields.__setitem__("type", 1), "its fields have the types"),
        (lambda b: b.header.__setitem__("samples", 0), "it holds no picture"),
        (lambda b: b.header.__setitem__("samples", 10**9), "no room for its 1000000000 samples"),
        (lambda b: b.header.__setitem__("samples", 2**64 - 1), "no room for its 18446744073709551615 samples"),
        (lambda b: b.header.__setitem__("samples", 2**61), "no room for its"),
        (lambda b: b.header.__setitem__("samples", 2), "its allocation table has 3 rows and 0 bytes more instead of 2"),
        (lambda b: b.header.__setitem__("allocations", 2**64 - 1), "its allocation table begins at"),
        (lambda b: b.header.__setitem__("allocations", 5), "its allocation table begins at 5, outside"),
        (lambda b: b.header.__setitem__("allocations", b.header["allocations"] + 24), "its allocation table has 2 rows"),
        (lambda b: b.header.__setitem__("allocations", b.header["allocations"] - 1), "its allocation table has 3 rows and 1"),
        (lambda b: b.table["begin"].__setitem__(1, 2**63), "picture 1 is not in the allocation table"),
        (lambda b: b.samples["picture"]["begin"].__setitem__(2, 0), "picture 2 is not in the allocation table"),
        (lambda b: b.table["size"].__setitem__(1, 2**64 - 1), "picture 1 goes beyond the file's pictures"),
        (lambda b: b.table["size"].__setitem__(2, b.table["size"][2] + 1), "picture 2 goes beyond the file's pictures"),
        (lambda b: b.table["size"].__setitem__(0, 0), "picture 0 lies outside the file's pictures"),
        (lambda b: move_picture(b, 1, 2**63), "picture 1 lies outside the file's pictures"),
        (lambda b: move_picture(b, 1, 0), "picture 1 lies outside the file's pictures"),
        (lambda b: b.samples["picture"]["mode"].__setitem__(0, 2), "picture 0 is stored in no known mode"),
        (lambda b: b.samples["picture"]["mode"].__setitem__(0, 1), "picture 0 has another number of bytes than pixels"),
        (lambda b: b.samples["picture"]["height"].__setitem__(1, 25), "picture 1 has another number of bytes than pixels"),
        (lambda b: b.samples["picture"]["width"].__setitem__(0, 0), "picture 0 has no pixels"),
        (lambda b: b.samples["picture"]["height"].__setitem__(1, 0), "picture 1 has no pixels"),
        (lambda b: b.samples["picture"][["height", "width"]].__setitem__(0, (65_535, 65_535)), "picture 0 has too few bytes"),
        (lambda b: b.samples["label"].__setitem__(2, -1), "picture 2 has a negative label"),
    ],
)
def test_a_forged_header_is_named_at_once(tmp_path: Path, forge: Forge, message: str) -> None:
    forged = tiny(JPG, RAW, JPG)
    forge(forged)
    path = forged.write(tmp_path / "x.beton")
    tracemalloc.start()
    started = perf_counter()
    with pytest.raises(BenchError, match=rf"x\.beton is no \.beton file of pictures and labels, or a damaged one: .*{message}"):
        BetonFile(path)
    assert perf_counter() - started < 1 and tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


def move_picture(beton: TinyBeton, number: int, begin: int) -> None:
    """Say of a picture that it lies elsewhere, in both places that say it."""
    beton.samples["picture"]["begin"][number] = beton.table["begin"][number] = begin


@pytest.mark.parametrize("content", [b"", b"?", b"?" * 5000, b"\0" * 5000, b"\xff" * 5000])
def test_what_is_no_beton_file_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.beton").write_bytes(content)
    with pytest.raises(BenchError, match=r"x\.beton is no \.beton file"):
        BetonFile(tmp_path / "x.beton")


def test_a_file_cut_anywhere_is_refused(tmp_path: Path) -> None:
    whole = tiny(JPG, RAW).tobytes()
    for number, length in enumerate([*range(0, 100, 7), *range(100, len(whole), 211), len(whole) - 24, len(whole) - 1]):
        (tmp_path / f"{number}.beton").write_bytes(whole[:length])
        with pytest.raises(BenchError, match=rf"{number}\.beton is no \.beton file"):
            BetonFile(tmp_path / f"{number}.beton")


def test_what_is_no_file_is_named(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(BenchError, match=rf"{path} is no file"):
            BetonFile(path)


@pytest.mark.parametrize("indices", [[3], [10**9], [-1], [0, 1, 2**62], [0.0], [True], [[0]]])
def test_numbers_that_no_image_has_are_named(tmp_path: Path, indices: list[object]) -> None:
    with pytest.raises(BenchError, match=r"x\.beton (has no image (\d+|-1): it has 3, numbered|are a list of integers, not)"):
        Loader(tiny(JPG, RAW, JPG).write(tmp_path / "x.beton"), TINY_CROPS, 1, indices=np.array(indices))


@pytest.mark.parametrize("number", [3, 10**9, -1, -(2**62)])
def test_a_number_that_no_image_has_is_named_in_a_batch(tmp_path: Path, number: int) -> None:
    shown = Transform(tiny(JPG, RAW, JPG).write(tmp_path / "x.beton"), TINY_CROPS, training=False)
    with pytest.raises(BenchError, match=rf"x\.beton has no image {number}: it has 3"):
        shown.batch(np.array([0, number, 1]), 0)


def test_a_jpeg_of_another_size_than_the_file_says_is_named(tmp_path: Path) -> None:
    """libjpeg-turbo would scale it to the size that is asked for, and leave the rest of the memory as it was."""
    larger, stored = encode_image(photo(48, 80), JPEGS, True), encode_image(photo(24, 40), JPEGS, True)
    for data in (larger.data, encode_image(photo(12, 20), JPEGS, True).data, encode_image(photo(24, 39), JPEGS, True).data):
        path = TinyBeton([stored, EncodedImage(JPG, 24, 40, data)], [0, 1]).write(tmp_path / "x.beton")
        for view, seed in ((TINY_CROPS, 0), (TINY_CROPS, None), (PLAIN, 0), (PLAIN, None)):
            with pytest.raises(BenchError, match=r"image 1 in .*x\.beton cannot be decoded"):
                list(Loader(path, view, 2, seed=seed).epoch())
