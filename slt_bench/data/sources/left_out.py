"""A record of the files and folders in a tree of pictures that are not used, since nothing is dropped without a word."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from slt_bench.data.sources.pictures import escaped, is_picture

_NAMED = 3  # folders and endings in a message; the rest is counted


@dataclass
class LeftOut:
    """The files and folders of a tree that are not used.

    Attributes:
        folders: their names, with where they lie.
        hidden: number of hidden files.
        outside: number of pictures that lie in no class.
        endings: number of files that are no pictures, by ending.
    """

    folders: list[str] = field(default_factory=list)
    hidden: int = 0
    outside: int = 0
    endings: Counter[str] = field(default_factory=Counter)

    def add(self, name: str, is_folder: bool, parent: str) -> None:
        """Record a file or folder.

        Args:
            name: of the file or folder.
            is_folder: which of the two it is.
            parent: the folder that it lies in; empty for the top of the tree.
        """
        if is_folder:
            self.folders.append(f"{escaped(name)} in {escaped(parent)}" if parent else escaped(name))
        elif is_hidden(name):
            self.hidden += 1
        elif is_picture(name):
            self.outside += 1
        else:
            self.endings[escaped(PurePosixPath(name).suffix.lower()) or "no ending"] += 1

    def update(self, other: LeftOut) -> None:
        """Add all that another record holds."""
        self.folders += other.folders
        self.hidden, self.outside = self.hidden + other.hidden, self.outside + other.outside
        self.endings += other.endings

    def files(self) -> int:
        """Return the number of files."""
        return self.hidden + self.outside + self.endings.total()

    def details(self) -> str:
        """Name the first folders and endings and count the rest; empty if nothing was left out."""
        others = len(self.folders) - _NAMED
        parts = [f"folder {name}" for name in self.folders[:_NAMED]] + [counted(others, "more folder")] * (others > 0)
        if count := self.endings.total():
            kinds = ", ".join(f"{ending} {number}" for ending, number in self.endings.most_common(_NAMED))
            more = ", ..." if len(self.endings) > _NAMED else ""
            are = "is no picture" if count == 1 else "are no pictures"
            parts.append(f"{counted(count, 'file')} that {are} ({kinds}{more})")
        parts += [f"{counted(self.outside, 'picture')} outside of the classes"] * (self.outside > 0)
        parts += [counted(self.hidden, "hidden file")] * (self.hidden > 0)
        return ", ".join(parts)

    def summary(self) -> str:
        """Count folders and files for a dataset's origin: ", left out: 1 folder, 4 files"; empty if nothing was left out."""
        counts = [(len(self.folders), "folder"), (self.files(), "file")]
        parts = ", ".join(counted(count, noun) for count, noun in counts if count)
        return f", left out: {parts}" if parts else ""


def counted(number: int, noun: str) -> str:
    """Return a count with its noun, such as "1 folder" or "1,000 folders"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def is_hidden(name: str) -> bool:
    """Decide whether a file or folder is hidden: by a dot, or by an @ as network storage marks its own (@eaDir)."""
    return name.startswith((".", "@"))
