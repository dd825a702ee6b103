"""What is not taken of a tree of pictures: counted and named, since nothing is dropped without a word."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from slt_bench.data.sources.pictures import is_picture, shown

_NAMED = 3  # of what is left out; the rest is counted


@dataclass
class LeftOut:
    """What is not taken of a tree."""

    folders: list[str] = field(default_factory=list)
    hidden: int = 0
    outside: int = 0  # pictures that lie in no class
    endings: Counter[str] = field(default_factory=Counter)  # of files that are no pictures

    def add(self, name: str, is_folder: bool, place: str) -> None:
        """One more, in `place`."""
        if is_folder:
            self.folders.append(f"{shown(name)} in {shown(place)}" if place else shown(name))
        elif is_hidden(name):
            self.hidden += 1
        elif is_picture(name):
            self.outside += 1
        else:
            self.endings[shown(PurePosixPath(name).suffix.lower()) or "no ending"] += 1

    def update(self, other: LeftOut) -> None:
        """What another has too."""
        self.folders += other.folders
        self.hidden, self.outside = self.hidden + other.hidden, self.outside + other.outside
        self.endings += other.endings

    def files(self) -> int:
        """How many."""
        return self.hidden + self.outside + self.endings.total()

    def words(self) -> str:
        """All of it; empty if nothing is left out."""
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

    def short(self) -> str:
        """For a dataset's origin: ", left out: 1 folder, 4 files", or nothing."""
        counts = [(len(self.folders), "folder"), (self.files(), "file")]
        parts = ", ".join(counted(count, what) for count, what in counts if count)
        return f", left out: {parts}" if parts else ""


def counted(number: int, what: str) -> str:
    """Such as "1 folder" and "1,000 folders"."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def is_hidden(name: str) -> bool:
    """Also what a NAS keeps, as @eaDir."""
    return name.startswith((".", "@"))
