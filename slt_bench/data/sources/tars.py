"""Tar archives as trees of folders and pictures, as extraction would leave them on disk; nothing is unpacked."""

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
from slt_bench.data.sources.pictures import Picture, escaped, is_picture, reason

DAMAGE = (tarfile.TarError, EOFError, OSError, lzma.LZMAError, zlib.error, ValueError, OverflowError, RecursionError)
_MOST_LINKS = 40  # one after the other, as Linux has it
_DEEPEST = 100  # folder in folder


@contextmanager
def whole_tar(path: Path, file: IO[bytes] | None = None, name: str = "") -> Iterator[tarfile.TarFile]:
    """Open an archive and check that it is whole; the block has to read all members.

    Args:
        path: the archive, or the archive that it lies in.
        file: the archive, opened before; None to open `path`.
        name: of the archive inside `path`, for messages.

    Yields:
        The open archive.

    Raises:
        BenchError: the file is no archive, cut short or damaged.
    """
    try:
        with tarfile.open(path, fileobj=file) as archive:
            yield archive
            archive.fileobj.seek(archive.offset)
            ended = archive.fileobj.read(tarfile.BLOCKSIZE) == bytes(tarfile.BLOCKSIZE)
    except DAMAGE as error:
        raise BenchError(f"{escaped(f'{path}{name}')} cannot be read as a tar archive: {_tar_reason(error)}") from error
    if not ended:  # tarfile takes a damaged header for the end
        raise BenchError(f"{escaped(f'{path}{name}')} cannot be read as a tar archive: it is cut short or damaged")


def _tar_reason(error: Exception) -> str:
    """Return the reason of an error on one line; tarfile lists every format that it tried where it cannot open a file."""
    return "it is none, or its beginning is damaged" if "could not be opened" in str(error) else reason(error)


@dataclass(frozen=True)
class _Link:
    """A symbolic link in an archive."""

    target: str


class TarFolder:
    """A folder in an archive.

    Args:
        name: of the folder; of the archive for its uppermost folder.
        parent: the folder that it lies in; None for the uppermost one.

    Attributes:
        children: by name, what lies in the folder; a text says why something is neither folder nor file.
    """

    def __init__(self, name: str, parent: TarFolder | None = None) -> None:
        self.name, self.parent = name, parent
        self.children: dict[str, TarFolder | Picture | _Link | str] = {}

    @property
    def location(self) -> str:
        """The archive and the path inside it, for messages."""
        if self.parent is None:
            return self.name
        return f"{self.parent.location}{'/' if self.parent.parent else ': '}{self.name}"

    @property
    def identity(self) -> object:
        """A value that is equal for two ways, by links, to one folder."""
        return id(self)

    def entries(self) -> list[tuple[str, TarFolder | Picture | str]]:
        """List names and what lies behind them, links followed; a text says why something is neither folder nor file."""
        return [(name, self._target_of(entry)) for name, entry in sorted(self.children.items(), key=lambda item: item[0])]

    def _target_of(self, entry: TarFolder | Picture | _Link | str) -> TarFolder | Picture | str:
        """Follow an entry that is a link to what it leads to; a text says why it leads nowhere."""
        if not isinstance(entry, _Link):
            return entry
        missing, links = f"is a link to {escaped(entry.target)}, which is not in the archive", 1
        folder, steps = self, _steps_to(entry)
        while steps:
            step = steps.pop()
            found = folder if step in ("", ".") else folder.parent if step == ".." else folder.children.get(step)
            if isinstance(found, _Link) and links < _MOST_LINKS:
                steps, links = [*steps, *_steps_to(found)], links + 1
            elif isinstance(found, TarFolder):
                folder = found
            else:
                return found if isinstance(found, Picture) and not steps else missing
        return folder


def _steps_to(link: _Link) -> list[str]:
    """List the names on the way to a link's target, last one first; an absolute target leads out of the archive."""
    return [".."] * _DEEPEST if link.target.startswith("/") else link.target.split("/")[::-1]


def tar_tree(path: Path, file: IO[bytes] | None = None, name: str = "", at: int = 0) -> TarFolder:
    """Read the tree of an archive, or of an archive inside an archive.

    Of members with the same name the last one counts. The pictures of a compressed archive are read into memory at once,
    since it cannot be read out of order.

    Args:
        path: the archive, or the archive that it lies in.
        file: the inner archive, opened before; None to open `path`.
        name: of the inner archive.
        at: offset of the inner archive's first byte in `path`.

    Returns:
        The uppermost folder.

    Raises:
        BenchError: the file is no archive, cut short or damaged, or a name in it leads out of it.
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
                raise BenchError(
                    f"{escaped(root.location)}: {escaped(member.name)} is both folder and file: make the archive anew"
                )
            else:
                inside = f"{name}: {member.name}" if name else member.name
                folder.children[last] = _entry(root, archive, member, Picture(path, inside, at), stored)
    return root


def _entry(
    root: TarFolder, archive: tarfile.TarFile, member: tarfile.TarInfo, picture: Picture, stored: bool
) -> Picture | _Link | str:
    """Find out what a member is that is no folder.

    Args:
        root: the archive's uppermost folder.
        archive: the open archive.
        member: of the archive.
        picture: the member as a picture whose bytes begin at the archive's own offset.
        stored: whether the archive is not compressed, so that members can be read where they lie.

    Returns:
        A picture, a link, or a text that says why the member is neither.
    """
    if member.islnk():
        target: TarFolder | Picture | _Link | str | None = root
        for part in _parts(root, member.linkname):
            target = target.children.get(part) if isinstance(target, TarFolder) else None
        missing = f"is a link to {escaped(member.linkname)}, which does not come before it in the archive"
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
    """Split a member's name into folders and file; a leading / is ignored, as extraction does."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts or len(parts) > _DEEPEST:
        fault = "leads out of the archive by .." if ".." in parts else f"lies in more than {_DEEPEST} folders"
        raise BenchError(f"{escaped(root.location)}: {escaped(name[:200])} {fault}: make the archive anew")
    return parts


def _folder_at(root: TarFolder, parts: list[str]) -> TarFolder:
    """Return a folder below `root`, made where it does not exist yet."""
    folder = root
    for part in parts:
        child = folder.children.get(part)
        if child is None:
            child = folder.children[part] = TarFolder(part, folder)
        if not isinstance(child, TarFolder):
            raise BenchError(f"{escaped(folder.location)}: {escaped(part)} is both folder and file: make the archive anew")
        folder = child
    return folder
