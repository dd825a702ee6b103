"""Tar archives as trees of folders and pictures, as extraction would leave them on disk. Nothing is unpacked."""

from __future__ import annotations

import lzma
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import BufferedReader
from pathlib import Path
from typing import IO

from slt_bench.common.errors import BenchError
from slt_bench.data.sources.pictures import Picture, is_picture, reason, shown

DAMAGE = (tarfile.TarError, EOFError, OSError, lzma.LZMAError, zlib.error, ValueError, OverflowError, RecursionError)
_MOST_LINKS = 40  # one after the other, as Linux has it
_DEEPEST = 100  # folder in folder


@contextmanager
def whole_tar(path: Path, file: IO[bytes] | None = None, name: str = "") -> Iterator[tarfile.TarFile]:
    """An open archive (`file`, or the one at `path`), of which all members are read inside the block: it must be whole."""
    try:
        with tarfile.open(path, fileobj=file) as archive:
            yield archive
            archive.fileobj.seek(archive.offset)
            ended = archive.fileobj.read(tarfile.BLOCKSIZE) == bytes(tarfile.BLOCKSIZE)
    except DAMAGE as error:
        raise BenchError(f"{shown(f'{path}{name}')} cannot be read as a tar archive: {_why(error)}") from error
    if not ended:  # tarfile takes a damaged header for the end
        raise BenchError(f"{shown(f'{path}{name}')} cannot be read as a tar archive: it is cut short or damaged")


def _why(error: Exception) -> str:
    """Of an archive that cannot even be opened, tarfile tells all the ways in which it tried."""
    return "it is none, or its beginning is damaged" if "could not be opened" in str(error) else reason(error)


@dataclass(frozen=True)
class _Link:
    """A symbolic link."""

    target: str


class TarFolder:
    """A folder in an archive."""

    def __init__(self, name: str, parent: TarFolder | None = None) -> None:
        self.name, self.parent = name, parent
        self.children: dict[str, TarFolder | Picture | _Link | str] = {}

    @property
    def where(self) -> str:
        """Archive and folder, for messages."""
        if self.parent is None:
            return self.name
        return f"{self.parent.where}{'/' if self.parent.parent else ': '}{self.name}"

    @property
    def identity(self) -> object:
        """The same for the same folder, whatever link leads there."""
        return id(self)

    def entries(self) -> list[tuple[str, TarFolder | Picture | str]]:
        """Names and what they are, links followed; of what is neither a folder nor a file, what it is instead."""
        return [(name, self._followed(entry)) for name, entry in sorted(self.children.items(), key=lambda each: each[0])]

    def _followed(self, entry: TarFolder | Picture | _Link | str) -> TarFolder | Picture | str:
        if not isinstance(entry, _Link):
            return entry
        missing, links = f"is a link to {shown(entry.target)}, which is not in the archive", 1
        here, parts = self, _reversed(entry)
        while parts:
            part = parts.pop()
            found = here if part in ("", ".") else here.parent if part == ".." else here.children.get(part)
            if isinstance(found, _Link) and links < _MOST_LINKS:
                parts, links = [*parts, *_reversed(found)], links + 1
            elif isinstance(found, TarFolder):
                here = found
            else:
                return found if isinstance(found, Picture) and not parts else missing
        return here


def _reversed(link: _Link) -> list[str]:
    """The way to its target, last step first; an absolute one leads out of the archive."""
    return [".."] * _DEEPEST if link.target.startswith("/") else link.target.split("/")[::-1]


def tar_tree(path: Path, file: IO[bytes] | None = None, name: str = "", at: int = 0) -> TarFolder:
    """What is in the archive `path`, or in the archive `name` inside it, an open `file` that begins at byte `at` of it.

    Of members with the same name the last one counts. Pictures of a compressed archive are read into memory at once, since
    it cannot be read out of order.

    Raises:
        BenchError: it is no archive, it is cut short or damaged, or a name in it leads nowhere.
    """
    root = TarFolder(f"{path}{f': {name}' if name else ''}")
    with whole_tar(path, file, f": {name}" if name else "") as archive:
        stored = isinstance(archive.fileobj, BufferedReader)
        for member in archive:
            if member.size < 0:
                raise tarfile.ReadError("a member of negative size")
            *above, last = _parts(root, member.name) or [""]
            if not last:
                continue
            folder = _folder_at(root, above)
            if member.isdir():
                _folder_at(folder, [last])
            elif isinstance(folder.children.get(last), TarFolder):
                raise BenchError(f"{shown(root.where)}: {shown(member.name)} is both folder and file: make the archive anew")
            else:
                inside = f"{name}: {member.name}" if name else member.name
                folder.children[last] = _entry(root, archive, member, Picture(path, inside, at), stored)
    return root


def _entry(
    root: TarFolder, archive: tarfile.TarFile, member: tarfile.TarInfo, picture: Picture, stored: bool
) -> Picture | _Link | str:
    """What a member that is no folder is."""
    if member.islnk():
        target: TarFolder | Picture | _Link | str | None = root
        for part in _parts(root, member.linkname):
            target = target.children.get(part) if isinstance(target, TarFolder) else None
        missing = f"is a link to {shown(member.linkname)}, which does not come before it in the archive"
        return missing if target is None or isinstance(target, TarFolder) else target
    if member.issym():
        return _Link(member.linkname)
    if not member.isfile():
        return "is neither a file nor a folder"
    if stored and not member.issparse():
        return replace(picture, offset=picture.offset + member.offset_data, size=member.size)
    if not is_picture(member.name):
        return "lies in a compressed archive, under a name that is no picture's"
    content = archive.extractfile(member)
    return replace(picture, size=member.size, content=content.read() if content else b"")


def _parts(root: TarFolder, name: str) -> list[str]:
    """Of a name in the archive; a leading / is ignored, as extraction does."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts or len(parts) > _DEEPEST:
        fault = "leads out of the archive by .." if ".." in parts else f"lies in more than {_DEEPEST} folders"
        raise BenchError(f"{shown(root.where)}: {shown(name[:200])} {fault}: make the archive anew")
    return parts


def _folder_at(root: TarFolder, parts: list[str]) -> TarFolder:
    """The folder in a folder, made where it is not there yet."""
    for part in parts:
        found = root.children.get(part)
        if found is None:
            found = root.children[part] = TarFolder(part, root)
        if not isinstance(found, TarFolder):
            raise BenchError(f"{shown(root.where)}: {shown(part)} is both folder and file: make the archive anew")
        root = found
    return root
