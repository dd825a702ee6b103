"""Small images, and views, files and bytes of them, that tests of several rooms share."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from slt_bench.data.beton import RAW, BetonFile
from slt_bench.data.decode import jpeg
from slt_bench.data.decode.augment import sequence_start
from slt_bench.data.decode.jpeg_parts import cut
from slt_bench.data.loader import Loader
from slt_bench.data.manifest import FILES, FileManifest, data_digest
from slt_bench.params.datasets import Dataset, Images, View

DIGITS = Dataset(images=Images(source="digits"), mean=[0.3] * 3, std=[0.4] * 3, crop_padding=1, flip=True)
JPEGS = Images(source="image_folder", path="images", write_mode="jpg")
PIXELS = Images(source="image_folder", path="images", write_mode="raw")
PLAIN = View(mean=[0.0] * 3, std=[1.0] * 3)
TINY_CROPS = View(mean=[0.5] * 3, std=[0.25] * 3, flip=True, resolution=8, resize=9)
CROPS = View(mean=[0.5] * 3, std=[0.25] * 3, flip=True, resolution=48, resize=55)
SIZES = [(96, 128), (127, 96), (301, 211), (64, 500), (1, 90), (90, 1), (17, 16), (600, 777), (33, 1000)]
GUARD = 0xA5
TarMode = Literal["w", "w:gz", "w:xz"]


def photo(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    """Make smooth colours with some grain, as photographs have them."""
    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.integers(0, 256, (5, 7, 3), dtype=np.uint8)).resize(
        (width, height), Image.Resampling.BICUBIC
    )
    return (np.asarray(coarse).astype(int) + random.integers(-9, 10, (height, width, 3))).clip(0, 255).astype(np.uint8)


def file_of(picture: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    """Encode a picture as Pillow does."""
    file = BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def decoded(data: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Decode a JPEG with the loader's own decoder."""
    pixels = np.empty(height * width * 3, np.uint8)
    assert jpeg.decode(data, data.size, height, width, pixels)
    return pixels.reshape(height, width, 3)


def first(key: int | np.uint64, image: int) -> np.uint64:
    """Return the start of an image's sequence (numba gives it back as a plain int)."""
    return np.uint64(sequence_start(np.uint64(key), image))


def guarded_cut(data: NDArray[np.uint8], height: int, width: int, box: NDArray[np.int64]) -> tuple[int, ...]:
    """Cut into memory that is as large as it must be, beside bytes that have to stay as they are."""
    most = -(-height // jpeg.MCU) * -(-width // jpeg.MCU) + 2
    memory, starts = np.full(data.size + 4 + 64, GUARD, np.uint8), np.full(most + 8, -7, np.int64)
    result: tuple[int, ...] = cut(data, height, width, box, memory[32:-32], starts[4:-4])
    assert np.all(memory[:32] == GUARD) and np.all(memory[-32:] == GUARD) and 0 <= result[0] <= data.size + 4
    assert np.all(starts[:4] == -7) and np.all(starts[-4:] == -7)
    return result


def stored_pictures(path: Path) -> list[NDArray[np.uint8]]:
    """Decode the images of a .beton file as anybody would."""
    file, images = BetonFile(path), []
    for number in range(len(file)):
        data, shape = file.bytes_of(number), (file.heights[number], file.widths[number], 3)
        is_raw = file.modes[number] == RAW
        images.append(data.reshape(shape) if is_raw else np.asarray(Image.open(BytesIO(data.tobytes()))))
    return images


def pictures(path: Path) -> NDArray[np.uint8]:
    """Return all images of a .beton file of one size, in file order."""
    return np.stack(stored_pictures(path))


def labels_of(path: Path) -> list[int]:
    """Return all labels of a .beton file, in file order."""
    labels: list[int] = BetonFile(path).labels.tolist()
    return labels


def raw_epoch(loader: Loader, number: int = 0) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.int64]]]:
    """Yield the batches of an epoch with their normalisation undone: uint8[b, h, w, 3] and int64[b]."""
    mean, std = (np.array(channels, np.float32) for channels in (loader.view.mean, loader.view.std))
    for images, labels in loader.epoch(number):
        pixels = (images.permute(0, 2, 3, 1).numpy() * std + mean) * 255
        assert np.abs(pixels - np.rint(pixels)).max(initial=0) < 1e-3
        yield np.rint(pixels).astype(np.uint8), labels.numpy()


def signed(manifest: dict[str, Any]) -> dict[str, Any]:
    """Return a manifest with the digest of what it lists."""
    files = {name: FileManifest.model_construct(**manifest["files"][name]) for name in FILES}
    return manifest | {"digest": data_digest(manifest["classes"], files, manifest["held_out"])}


def changed(data: st.DataObject, content: bytes) -> bytes:
    """Return bytes of which some are replaced, cut out, added or flipped, or the end is cut off."""
    result = bytearray(content)
    for _ in range(data.draw(st.integers(1, 4))):
        at, how = data.draw(st.integers(0, len(result))), data.draw(st.sampled_from(["flip", "replace", "cut"]))
        if how == "flip" and at < len(result):
            result[at] ^= 1 << data.draw(st.integers(0, 7))
        elif how == "replace":
            result[at : at + data.draw(st.integers(0, 8))] = data.draw(st.binary(max_size=8))
        elif how == "cut" and data.draw(st.integers(0, 3)) == 0:
            del result[at:]
    return bytes(result)
