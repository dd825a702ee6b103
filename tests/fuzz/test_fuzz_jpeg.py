"""Whatever the bytes of a JPEG, compiled code stays inside them and inside the memory that it is given."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from slt_bench.data.decode import jpeg
from slt_bench.data.decode.jpeg_parts import cut
from slt_bench.data.encode import encode_image
from tests.fuzz.harness import fuzzed
from tests.toys_images import JPEGS, changed, file_of, guarded_cut, photo


def jpegs() -> list[bytes]:
    """As they are stored, and as others write them."""
    found, picture = [encode_image(photo(50, 150), JPEGS, True).data.tobytes()], Image.fromarray(photo(50, 150))
    for image, options in (
        (picture, {"progressive": True}), (picture, {"subsampling": 0, "restart_marker_blocks": 5}),
        (picture.convert("L"), {}), (picture.convert("CMYK"), {}), (picture, {"restart_marker_blocks": 5}),
    ):  # fmt: skip
        found.append(file_of(image, **options))
    return found


ALL_JPEGS = jpegs()
SIDES = st.integers(1, 200)


def decode_guarded(data: NDArray[np.uint8], size: int, height: int, width: int) -> None:
    """Twice into memory that was filled differently, beside bytes that have to stay as they are."""
    found = []
    for guard in (0x5A, 0xA5):
        memory = np.full(height * width * 3 + 128, guard, np.uint8)
        if not jpeg.decode(data, size, height, width, memory[64:-64]):
            return
        assert np.all(memory[:64] == guard) and np.all(memory[-64:] == guard)
        found.append(memory[64:-64])
    assert not jpeg.fits(data[:size], height, width) or np.array_equal(found[0], found[1])


@fuzzed
@given(st.data(), st.sampled_from(range(len(ALL_JPEGS))), st.booleans())
def test_any_bytes_of_a_jpeg(data: st.DataObject, number: int, of_that_size: bool) -> None:
    """`_header` as Python looks after every place that it reads."""
    whole = ALL_JPEGS[number]
    until = data.draw(st.sampled_from([len(whole), whole.index(b"\xff\xda") + 14]))  # all of it, or what precedes the codes
    content = np.frombuffer(changed(data, whole[:until]) + data.draw(st.sampled_from([whole[until:], b""])), np.uint8)
    height, width = (50, 150) if of_that_size else (data.draw(SIDES), data.draw(SIDES))
    h, w = data.draw(st.integers(1, height)), data.draw(st.integers(1, width))
    box = np.array([data.draw(st.integers(0, height - h)), data.draw(st.integers(0, width - w)), h, w])
    assert jpeg.read_header.py_func(content) == jpeg.read_header(content)  # type: ignore[attr-defined]
    decode_guarded(content, content.size, height, width)
    memory, starts = np.empty(content.size + 4, np.uint8), np.empty(1000, np.int64)
    size, _, _, part_height, part_width = guarded_cut(content, height, width, box)
    if size:
        assert cut(content, height, width, box, memory, starts)[0] == size
        assert jpeg.fits(memory[:size], part_height, part_width)
        decode_guarded(memory, size, part_height, part_width)
