"""Single pictures in files and archives: which names are pictures', what messages call them, and their pixels."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from slt_bench.common.errors import BenchError

if TYPE_CHECKING:
    from PIL import Image

ENDINGS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")  # those of torchvision's ImageFolder
_BITS, _PHOTOMETRIC, _WHITE_IS_ZERO = 258, 262, 0  # of a TIFF
_ADDRESS = re.compile(r" object at 0x[0-9a-fA-F]+")


@dataclass(frozen=True)
class Picture:
    """An encoded picture: a file, some bytes inside a file, or bytes in memory where an archive is compressed.

    Attributes:
        path: the file, or the archive.
        name: inside the archive; empty for a file.
        offset: of the picture's first byte in the file.
        size: bytes of the picture; None for the whole file.
        content: the picture itself; None where the file is read.
    """

    path: Path
    name: str = ""
    offset: int = 0
    size: int | None = None
    content: bytes | None = None

    def read(self) -> bytes:
        """Read the encoded picture.

        Raises:
            BenchError: the file cannot be read; the message names it.
        """
        if self.content is not None:
            return self.content
        try:
            with self.path.open("rb") as file:
                if self.size is None:
                    return file.read()
                return os.pread(file.fileno(), self.size, self.offset)
        except OSError as error:
            raise BenchError(f"unreadable image {name_of(self)}: {error.strerror}; fix or remove it") from error

    def nbytes(self) -> int:
        """Return the size of the encoded picture in bytes; 0 for a file that is gone, which `read` will name."""
        if self.size is not None:
            return self.size
        try:
            return self.path.stat().st_size
        except OSError:
            return 0


def name_of(picture: Picture) -> str:
    """Return what a message calls a picture: its file, and its name in an archive."""
    return escaped(f"{picture.path}: {picture.name}" if picture.name else str(picture.path))


def escaped(name: str) -> str:
    """Return a name on one line, with escapes for characters that cannot be printed."""
    text = name.encode("utf-8", "backslashreplace").decode()
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def check_name(name: str, location: str) -> None:
    """Refuse a name that is not UTF-8, since names are printed and written into files.

    Args:
        name: of a file, folder or class.
        location: the folder or variable that it was found in, for the message.

    Raises:
        BenchError: the name is not UTF-8.
    """
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        raise BenchError(f"{escaped(location)}: the name {escaped(name)} is not UTF-8: rename it") from None


def is_picture(name: str) -> bool:
    """Decide by its ending whether a file is a picture."""
    return name.lower().endswith(ENDINGS)


def decode(picture: Picture, size: int | None = None) -> NDArray[np.uint8]:
    """Read and decode a picture as `decode_bytes` does."""
    return decode_bytes(picture.read(), picture, size)


def decode_bytes(content: bytes, picture: Picture, size: int | None = None) -> NDArray[np.uint8]:
    """Decode a picture to what Pillow makes of it in RGB, as torchvision's ImageFolder does.

    Grey and CMYK pictures are converted, a PNG may be called .JPEG, the orientation in EXIF is not applied. Unlike in
    ImageFolder, grey of 16 bits is scaled to 8.

    Args:
        content: the encoded picture.
        picture: where it was read, for messages.
        size: side in pixels of a square that the picture is resized and cropped to; None to leave its size.

    Returns:
        uint8[height, width, 3], RGB.

    Raises:
        BenchError: the picture cannot be decoded; the message names it.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(BytesIO(content)) as image:
            rgb = _in_rgb(image)
    except UnidentifiedImageError:
        raise BenchError(f"unreadable image {name_of(picture)}: Pillow knows no such picture; fix or remove it") from None
    except Exception as error:  # Pillow raises whatever its decoder raises
        raise BenchError(f"unreadable image {name_of(picture)}: {reason(error)}; fix or remove it") from error
    if size is not None and rgb.size != (size, size):
        rgb = ImageOps.fit(rgb, (size, size), Image.Resampling.BICUBIC)
    return np.asarray(rgb)


def reason(error: Exception) -> str:
    """Return the message of a library's error on one line, without memory addresses; its type if it has no message."""
    return escaped(_ADDRESS.sub("", " ".join(str(error).split()))) or type(error).__name__


def _in_rgb(image: Image.Image) -> Image.Image:
    """Convert a picture to RGB.

    Pillow cuts grey of more than 8 bits off at 255: such grey is scaled where its range is known, and refused elsewhere.
    """
    from PIL import Image

    if image.mode not in ("I", "F") and not image.mode.startswith("I;16"):
        return image.convert("RGB")
    tags = getattr(image, "tag_v2", {})
    is_16_bits = np.max(tags.get(_BITS, 16)) == 16 and tags.get(_PHOTOMETRIC) != _WHITE_IS_ZERO
    if image.mode == "F" or not is_16_bits or (image.mode == "I" and image.format not in ("PNG", "PPM")):
        raise ValueError(f"grey of mode {image.mode} has no known range (convert it to 8 or 16 bits)")
    grey = np.asarray(image).astype(np.int64)
    return Image.fromarray(((grey * 255 + 32_767) // 65_535).astype(np.uint8)).convert("RGB")


def kind_of(path: Path) -> Literal["file", "folder", "nothing"]:
    """Tell what lies at a path, even an impossible one; what is neither file nor folder counts as nothing."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return "nothing"
    return "file" if S_ISREG(mode) else "folder" if S_ISDIR(mode) else "nothing"
