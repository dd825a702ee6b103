"""Single pictures: grey of many bits."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from slt_bench.common.errors import BenchError
from slt_bench.data.sources.pictures import Picture, decode


def grey(kind: str, mode: str) -> bytes:
    """Black, middle and white in two bytes or more."""
    file, values = BytesIO(), np.array([[0, 32_768, 65_535, 257 * 7]])
    numbers = {"I;16": "<u2", "I;16B": ">u2", "I": "<i4", "F": "<f4"}[mode]
    Image.frombytes(mode, (4, 1), values.astype(numbers).tobytes()).save(file, kind)
    return file.getvalue()


@pytest.mark.parametrize(("kind", "mode"), [("PNG", "I;16"), ("PPM", "I;16"), ("TIFF", "I;16"), ("TIFF", "I;16B")])
def test_grey_of_16_bits_is_scaled_to_8(kind: str, mode: str) -> None:
    pixels = decode(Picture(Path("x"), content=grey(kind, mode)))
    assert pixels.shape == (1, 4, 3) and pixels[0].tolist() == [[0] * 3, [128] * 3, [255] * 3, [7] * 3]


@pytest.mark.parametrize("mode", ["I", "F"])
def test_grey_without_a_known_range_is_refused(mode: str) -> None:
    with pytest.raises(BenchError, match=f"unreadable image x: grey of mode {mode} has no known range"):
        decode(Picture(Path("x"), content=grey("TIFF", mode)))
