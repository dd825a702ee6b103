"""What a picture becomes in a .beton file: pixels, or a JPEG that can be decoded in parts."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from slt_bench import streams
from slt_bench.data.beton_file import JPG, RAW
from slt_bench.data.jpeg import restart_interval
from slt_bench.errors import BenchError
from slt_bench.params.images import Images


@dataclass(frozen=True)
class Stored:
    """One picture as it lies in the file."""

    mode: int
    height: int
    width: int
    data: NDArray[np.uint8]


def store(picture: NDArray[np.uint8], images: Images, as_jpeg: bool) -> Stored:
    """Shrink (by area, as ffcv does) and encode a picture, uint8[height, width, 3]."""
    height, width = picture.shape[:2]
    if images.max_resolution is not None and (ratio := images.max_resolution / max(height, width)) < 1:
        width, height = max(1, int(ratio * width)), max(1, int(ratio * height))
        picture = np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)
    if not as_jpeg:
        return Stored(RAW, height, width, np.ascontiguousarray(picture).reshape(-1))
    options = [cv2.IMWRITE_JPEG_QUALITY, images.jpeg_quality, cv2.IMWRITE_JPEG_OPTIMIZE, 1]
    options += [cv2.IMWRITE_JPEG_RST_INTERVAL, restart_interval(width)]
    done, encoded = cv2.imencode(".jpg", np.ascontiguousarray(picture[..., ::-1]), options)
    if not done:
        raise BenchError(f"an image of {width} x {height} pixels is too large for a JPEG: give the dataset a max_resolution")
    return Stored(JPG, height, width, encoded.reshape(-1))


def stored_as_jpeg(images: Images, count: int) -> NDArray[np.bool_]:
    """Which of the images are; of a proportion, a random choice that the seed decides."""
    if images.compress_probability is None:
        return np.full(count, images.write_mode == "jpg")
    chosen = streams.permutation(images.seed, "compress", 0, count)[: round(images.compress_probability * count)]
    return np.isin(np.arange(count), chosen)
