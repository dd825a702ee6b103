"""What a picture becomes in a .beton file: pixels, a JPEG that can be decoded in parts, or the file's own JPEG."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from slt_bench.common import random
from slt_bench.common.errors import BenchError
from slt_bench.data.beton import JPG, RAW
from slt_bench.data.decode.jpeg import MCU, cut, fits, restart_interval
from slt_bench.data.decode.jpeg import decode as decode_jpeg
from slt_bench.data.sources.pictures import Picture, pixels_of
from slt_bench.params.datasets import Images

_JPEG = b"\xff\xd8"  # how one begins


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


def store_as_it_is(picture: Picture) -> Stored:
    """A file's own bytes, if it is a JPEG of which a loader makes what Pillow does in RGB; else those pixels."""
    content = picture.read()
    pixels = pixels_of(content, picture)
    height, width = pixels.shape[:2]
    data = np.frombuffer(content, np.uint8)
    if content.startswith(_JPEG) and _is_decoded_alike(data, pixels):
        return Stored(JPG, height, width, data)
    return Stored(RAW, height, width, np.ascontiguousarray(pixels).reshape(-1))


def _is_decoded_alike(data: NDArray[np.uint8], pixels: NDArray[np.uint8]) -> bool:
    """Whole, and in the parts that training cuts out where there are restart markers; within 1 of 255."""
    height, width = pixels.shape[:2]
    whole = np.empty_like(pixels)
    if not fits(data, height, width) or not decode_jpeg(data, data.size, height, width, whole.reshape(-1)):
        return False
    if cv2.norm(whole, pixels, cv2.NORM_INF) > 1:
        return False
    memory, starts = np.empty(data.size + 4096, np.uint8), np.empty(-(-height // MCU) * -(-width // MCU) + 2, np.int64)
    for row, column in ((0, 0), (height // 2, width // 2)):
        box = np.array([row, column, height - height // 2, width - width // 2])
        size, top, left, rows, columns = cut(data, height, width, box, memory, starts)
        part = np.empty((rows, columns, 3), np.uint8)
        if size and not decode_jpeg(memory, size, rows, columns, part.reshape(-1)):
            return False
        inside = part[row - top :, column - left :][: box[2], : box[3]]
        if size and cv2.norm(inside, pixels[row : row + box[2], column : column + box[3]], cv2.NORM_INF) > 1:
            return False
    return True


def stored_as_jpeg(images: Images, count: int) -> NDArray[np.bool_]:
    """Which of the images are; of a proportion, a random choice that the seed decides."""
    if images.compress_probability is None:
        return np.full(count, images.write_mode == "jpg")
    chosen = random.permutation(images.seed, "compress", 0, count)[: round(images.compress_probability * count)]
    return np.isin(np.arange(count), chosen)
