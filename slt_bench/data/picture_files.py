"""Pictures in directories and tar archives: found without being read, and read one by one."""

from __future__ import annotations

import hashlib
import lzma
import os
import tarfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader, BytesIO
from pathlib import Path, PurePosixPath
from typing import IO

import numpy as np
from numpy.typing import NDArray

from slt_bench.errors import BenchError

_ENDINGS = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".ppm"}


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


def name_of(picture: Picture) -> str:
    """For a message."""
    return f"{picture.path}: {picture.name}" if picture.name else str(picture.path)


def decode(picture: Picture, size: int | None = None) -> NDArray[np.uint8]:
    """uint8[height, width, 3], fitted to a square of that size if one is given.

    What Pillow makes of it in RGB, as torchvision's ImageFolder does: grey and CMYK pictures are converted, a PNG may be
    called .JPEG, the orientation in EXIF is not applied.

    Raises:
        BenchError: naming a picture that cannot be decoded.
    """
    from PIL import Image, ImageOps

    content = picture.read()
    try:
        with Image.open(BytesIO(content)) as image:
            found = image.convert("RGB")
    except Exception as error:  # Pillow raises whatever its decoder raises
        raise BenchError(f"unreadable image {name_of(picture)}: {error}; mend or remove it") from error
    if size is not None and found.size != (size, size):
        found = ImageOps.fit(found, (size, size), Image.Resampling.BICUBIC)
    return np.asarray(found)


def is_picture(name: str) -> bool:
    """By its ending."""
    return PurePosixPath(name).suffix.lower() in _ENDINGS


def picture_files(path: Path, splits: Sequence[str]) -> dict[str, dict[str, list[Picture]]]:
    """split -> class -> pictures of a directory or tar of split/class/picture, in order of their names.

    Raises:
        BenchError: there is none, or the archive is damaged.
    """
    found: dict[str, dict[str, list[Picture]]] = {split: {} for split in splits}
    if path.is_file():
        members = sorted(tar_members(path, lambda name: _is_inside(name, found)), key=lambda each: each.name)
        places = [(PurePosixPath(each.name).parts[-3:-1], each) for each in members]
    elif path.is_dir():
        files = sorted(file for split in splits for file in (path / split).glob("*/*") if is_picture(file.name))
        places = [(file.parts[-3:-1], Picture(file)) for file in files if file.is_file()]
    else:
        raise BenchError(f"there is no image folder or archive {path}")
    for (split, label), picture in places:
        found[split].setdefault(label, []).append(picture)
    return found


def _is_inside(name: str, splits: dict[str, dict[str, list[Picture]]]) -> bool:
    parts = PurePosixPath(name).parts
    return len(parts) >= 3 and parts[-3] in splits and is_picture(name)


def tar_members(path: Path, wanted: Callable[[str], bool]) -> Iterator[Picture]:
    """The wanted members of an archive; those of a compressed one with their content, since it cannot be read out of order.

    Raises:
        BenchError: it is no archive, or it is cut short or damaged.
    """
    with whole_tar(path) as archive:
        for member in archive:
            if not member.isfile() or not wanted(member.name):
                continue
            if isinstance(archive.fileobj, BufferedReader):
                yield Picture(path, member.name, member.offset_data, member.size)
            elif file := archive.extractfile(member):
                yield Picture(path, member.name, content=file.read())


@contextmanager
def whole_tar(path: Path, file: IO[bytes] | None = None, name: str = "") -> Iterator[tarfile.TarFile]:
    """An open archive (`file`, or the one at `path`), of which all members are read inside the block: it must be whole."""
    try:
        with tarfile.open(path, fileobj=file) as archive:
            yield archive
            archive.fileobj.seek(archive.offset)
            ended = archive.fileobj.read(tarfile.BLOCKSIZE) == bytes(tarfile.BLOCKSIZE)
    except (tarfile.TarError, EOFError, OSError, lzma.LZMAError, zlib.error) as error:
        raise BenchError(f"{path}{name} cannot be read as a tar archive: {error}") from error
    if not ended:  # tarfile takes a damaged header for the end
        raise BenchError(f"{path}{name} cannot be read as a tar archive: it is cut short or damaged")


def sha256(path: Path) -> str:
    """Of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
