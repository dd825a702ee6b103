"""Pictures in files and in archives: which names are pictures', and their pixels, read one by one."""

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
    """An encoded picture: a file, or bytes inside one, or bytes in memory where an archive is compressed."""

    path: Path
    name: str = ""  # inside an archive
    offset: int = 0
    size: int | None = None
    content: bytes | None = None

    def read(self) -> bytes:
        """Its bytes.

        Raises:
            BenchError: naming the file that cannot be read.
        """
        if self.content is not None:
            return self.content
        try:
            with self.path.open("rb") as file:
                if self.size is None:
                    return file.read()
                return os.pread(file.fileno(), self.size, self.offset)
        except OSError as error:
            raise BenchError(f"unreadable image {name_of(self)}: {error.strerror}; mend or remove it") from error

    def nbytes(self) -> int:
        """How many bytes it has; 0 for a file that is gone."""
        if self.size is not None:
            return self.size
        try:
            return self.path.stat().st_size
        except OSError:  # whoever reads it will say so
            return 0


def name_of(picture: Picture) -> str:
    """For a message."""
    return shown(f"{picture.path}: {picture.name}" if picture.name else str(picture.path))


def shown(name: str) -> str:
    """A name on one line, with what is not to be printed as escapes."""
    plain = name.encode("utf-8", "backslashreplace").decode()
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in plain)


def check_name(name: str, where: str) -> None:
    """A name must be UTF-8, since it is printed and written into files; `where` is the folder that it lies in.

    Raises:
        BenchError: it is not.
    """
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        raise BenchError(f"{shown(where)}: the name {shown(name)} is not UTF-8: rename it") from None


def is_picture(name: str) -> bool:
    """By its ending."""
    return name.lower().endswith(ENDINGS)


def decode(picture: Picture, size: int | None = None) -> NDArray[np.uint8]:
    """uint8[height, width, 3], fitted to a square of that size if one is given.

    What Pillow makes of it in RGB, as torchvision's ImageFolder does: grey and CMYK pictures are converted, a PNG may be
    called .JPEG, the orientation in EXIF is not applied. Unlike there, grey of 16 bits is scaled to 8.

    Raises:
        BenchError: naming a picture that cannot be decoded.
    """
    return pixels_of(picture.read(), picture, size)


def pixels_of(content: bytes, picture: Picture, size: int | None = None) -> NDArray[np.uint8]:
    """The same for bytes that were read already; `picture` is for messages."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(BytesIO(content)) as image:
            found = _in_rgb(image)
    except UnidentifiedImageError:
        raise BenchError(f"unreadable image {name_of(picture)}: Pillow knows no such picture; mend or remove it") from None
    except Exception as error:  # Pillow raises whatever its decoder raises
        raise BenchError(f"unreadable image {name_of(picture)}: {reason(error)}; mend or remove it") from error
    if size is not None and found.size != (size, size):
        found = ImageOps.fit(found, (size, size), Image.Resampling.BICUBIC)
    return np.asarray(found)


def reason(error: Exception) -> str:
    """What a library's error says, on one line, or its kind."""
    return shown(_ADDRESS.sub("", " ".join(str(error).split()))) or type(error).__name__


def _in_rgb(image: Image.Image) -> Image.Image:
    """Pillow cuts grey of more than 8 bits off at 255: it is scaled where its range is known, and refused elsewhere."""
    from PIL import Image

    if image.mode not in ("I", "F") and not image.mode.startswith("I;16"):
        return image.convert("RGB")
    tags = getattr(image, "tag_v2", {})
    known = np.max(tags.get(_BITS, 16)) == 16 and tags.get(_PHOTOMETRIC) != _WHITE_IS_ZERO
    if image.mode == "F" or not known or (image.mode == "I" and image.format not in ("PNG", "PPM")):
        raise ValueError(f"grey of mode {image.mode} has no known range (convert it to 8 or 16 bits)")
    grey = np.asarray(image).astype(np.int64)
    return Image.fromarray(((grey * 255 + 32_767) // 65_535).astype(np.uint8)).convert("RGB")


def kind_of(path: Path) -> Literal["file", "folder", "nothing"]:
    """What is there, of any path, be it no possible one; something that is neither file nor folder counts as nothing."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return "nothing"
    return "file" if S_ISREG(mode) else "folder" if S_ISDIR(mode) else "nothing"
