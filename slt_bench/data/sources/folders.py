"""Folders on disk as places of pictures, and what a folder in an archive has in common with them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from slt_bench.common.errors import BenchError
from slt_bench.data.sources.pictures import Picture, escaped


class Folder(Protocol):
    """A folder on disk or in an archive."""

    @property
    def location(self) -> str:
        """The path of the folder, for messages."""

    @property
    def identity(self) -> object:
        """A value that is equal for two ways, by links, to one folder."""

    def entries(self) -> Sequence[tuple[str, Folder | Picture | str]]:
        """List names and what lies behind them, links followed; a text says why something is neither folder nor file."""


@dataclass(frozen=True)
class Directory:
    """A folder on disk."""

    path: Path

    @property
    def location(self) -> str:
        """The path of the folder, for messages."""
        return str(self.path)

    @property
    def identity(self) -> object:
        """A value that is equal for two ways, by links, to one folder."""
        state = self.path.stat()
        return state.st_dev, state.st_ino

    def entries(self) -> list[tuple[str, Folder | Picture | str]]:
        """List names and what lies behind them, links followed; a text says why something is neither folder nor file."""
        try:
            with os.scandir(self.path) as entries:
                return sorted(((entry.name, _classify(entry)) for entry in entries), key=lambda entry: entry[0])
        except OSError as error:
            raise BenchError(f"folder {escaped(str(self.path))} cannot be read: {error.strerror}") from error


def _classify(entry: os.DirEntry[str]) -> Folder | Picture | str:
    """Tell folders and files apart; a text says why an entry is neither."""
    try:
        if entry.is_dir():
            return Directory(Path(entry.path))
        if entry.is_file():
            return Picture(Path(entry.path))
    except OSError as error:
        return f"cannot be reached ({error.strerror})"
    return "is a link to what is not there" if entry.is_symlink() else "is no file"
