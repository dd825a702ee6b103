"""Encoding of single images for a .beton file: as pixels, as a JPEG that can be decoded in parts, or as the original JPEG."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from slt_bench.common import random
from slt_bench.common.errors import BenchError
from slt_bench.data.beton import JPG, RAW
from slt_bench.data.decode.jpeg import MCU, check_library, fits
from slt_bench.data.decode.jpeg import decode as decode_jpeg
from slt_bench.data.decode.jpeg_parts import cut, restart_interval
from slt_bench.data.sources.pictures import Picture, decode_bytes
from slt_bench.params.datasets import Images

_JPEG_START = b"\xff\xd8"
_SPARE = 4096  # bytes that a cut-out JPEG may be larger than its original


@dataclass(frozen=True)
class EncodedImage:
    """An image as it lies in a .beton file.

    Attributes:
        mode: `beton.JPG` or `beton.RAW`.
        height: in pixels.
        width: in pixels.
        data: uint8[bytes], a whole JPEG, or the pixels row by row.
    """

    mode: int
    height: int
    width: int
    data: NDArray[np.uint8]


def encode_image(pixels: NDArray[np.uint8], images: Images, as_jpeg: bool) -> EncodedImage:
    """Shrink an image to the dataset's largest size and encode it.

    Shrinking averages over areas, as ffcv does.

    Args:
        pixels: uint8[height, width, 3], RGB.
        images: the dataset's parameters: max_resolution and jpeg_quality.
        as_jpeg: store a JPEG with restart markers instead of pixels.

    Returns:
        The encoded image.

    Raises:
        BenchError: the image is too large for a JPEG.
    """
    height, width = pixels.shape[:2]
    if images.max_resolution is not None and (ratio := images.max_resolution / max(height, width)) < 1:
        width, height = max(1, int(ratio * width)), max(1, int(ratio * height))
        pixels = np.asarray(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)
    if not as_jpeg:
        return EncodedImage(RAW, height, width, np.ascontiguousarray(pixels).reshape(-1))
    options = [cv2.IMWRITE_JPEG_QUALITY, images.jpeg_quality, cv2.IMWRITE_JPEG_OPTIMIZE, 1]
    options += [cv2.IMWRITE_JPEG_RST_INTERVAL, restart_interval(width)]
    done, encoded = cv2.imencode(".jpg", np.ascontiguousarray(pixels[..., ::-1]), options)
    if not done:
        raise BenchError(f"an image of {width} x {height} pixels is too large for a JPEG: give the dataset a max_resolution")
    return EncodedImage(JPG, height, width, encoded.reshape(-1))


def encode_original(picture: Picture) -> EncodedImage:
    """Take over the bytes of a JPEG file unchanged, or the pixels of any other picture.

    A JPEG is taken over only if the loader decodes it as Pillow does; else its pixels, as Pillow decodes them, are stored.

    Args:
        picture: the file.

    Returns:
        The encoded image, in the picture's own size.

    Raises:
        BenchError: the picture cannot be read or decoded, or libturbojpeg is missing.
    """
    check_library()
    content = picture.read()
    pixels = decode_bytes(content, picture)
    height, width = pixels.shape[:2]
    data = np.frombuffer(content, np.uint8)
    if content.startswith(_JPEG_START) and _loads_as_pixels(data, pixels):
        return EncodedImage(JPG, height, width, data)
    return EncodedImage(RAW, height, width, np.ascontiguousarray(pixels).reshape(-1))


def _loads_as_pixels(data: NDArray[np.uint8], pixels: NDArray[np.uint8]) -> bool:
    """Decide whether the loader decodes a JPEG to given pixels, within 1 of 255, as a whole and in cut-out parts.

    Args:
        data: uint8[bytes], the JPEG.
        pixels: uint8[height, width, 3], RGB.

    Returns:
        True if the whole image does, and so do its two quarters on the diagonal where it can be cut.
    """
    height, width = pixels.shape[:2]
    whole = np.empty_like(pixels)
    if not fits(data, height, width) or not decode_jpeg(data, data.size, height, width, whole.reshape(-1)):
        return False
    if cv2.norm(whole, pixels, cv2.NORM_INF) > 1:
        return False
    memory, starts = np.empty(data.size + _SPARE, np.uint8), np.empty(-(-height // MCU) * -(-width // MCU) + 2, np.int64)
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
    """Choose the training images that are stored as JPEG.

    Args:
        images: the dataset's parameters; with a compress_probability the choice is random and depends on their seed alone.
        count: number of training images.

    Returns:
        bool[count].
    """
    if images.compress_probability is None:
        return np.full(count, images.write_mode == "jpg")
    chosen = random.permutation(images.seed, "compress", 0, count)[: round(images.compress_probability * count)]
    return np.isin(np.arange(count), chosen)
