"""Trees of split/class/picture, in directories and tar archives: what is taken of them, and what is left out, with its name."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from slt_bench.common.errors import BenchError
from slt_bench.data.sources.left_out import LeftOut, is_hidden
from slt_bench.data.sources.pictures import Picture, check_name, is_picture, kind_of, shown
from slt_bench.data.sources.tars import tar_tree

_DEEPEST = 100  # folder in folder
_NAMED = 5  # classes in a message

Classes = dict[str, list[Picture]]


class Folder(Protocol):
    """A folder on disk or in an archive; `entries` as `TarFolder` has them."""

    @property
    def where(self) -> str: ...

    @property
    def identity(self) -> object: ...

    def entries(self) -> Sequence[tuple[str, Folder | Picture | str]]: ...


@dataclass(frozen=True)
class Directory:
    """A folder on disk."""

    path: Path

    @property
    def where(self) -> str:
        """For messages."""
        return str(self.path)

    @property
    def identity(self) -> object:
        """The same for the same folder, whatever link leads there."""
        state = self.path.stat()
        return state.st_dev, state.st_ino

    def entries(self) -> list[tuple[str, Folder | Picture | str]]:
        """Names and what they are, links followed; of what is neither a folder nor a file, what it is instead."""
        try:
            with os.scandir(self.path) as found:
                return sorted(((each.name, _entry(each)) for each in found), key=lambda each: each[0])
        except OSError as error:
            raise BenchError(f"folder {shown(str(self.path))} cannot be read: {error.strerror}") from error


def _entry(found: os.DirEntry[str]) -> Folder | Picture | str:
    try:
        if found.is_dir():
            return Directory(Path(found.path))
        if found.is_file():
            return Picture(Path(found.path))
    except OSError as error:
        return f"cannot be reached ({error.strerror})"
    return "is a link to what is not there" if found.is_symlink() else "is no file"


def pictures_below(folder: Folder, place: str, left: LeftOut) -> list[Picture]:
    """The pictures at any depth, links followed, in the order of torchvision's ImageFolder: by folder, then by name.

    Raises:
        BenchError: naming a link that leads nowhere or back to where it lies, a name that is not UTF-8, an unreadable folder.
    """
    found: list[tuple[str, str, Picture]] = []
    waiting: list[tuple[Folder, str, list[object]]] = [(folder, "", [])]
    while waiting:
        here, inside, above = waiting.pop()
        if (identity := here.identity) in above:
            raise BenchError(f"{shown(here.where)} leads back to a folder that it lies in: remove the link")
        if len(above) == _DEEPEST:
            raise BenchError(f"{shown(here.where)} lies in more than {_DEEPEST} folders: move its pictures up")
        for name, entry in here.entries():
            if is_hidden(name) or (_is_file(entry) and not is_picture(name)):
                left.add(name, not _is_file(entry), place + inside)
                continue
            check_name(name, here.where)
            if isinstance(entry, str):
                raise BenchError(f"{shown(here.where)}: {shown(name)} {entry}: mend or remove it")
            if isinstance(entry, Picture):
                found.append((inside, name, entry))
            else:
                waiting.append((entry, f"{inside}/{name}", [*above, identity]))
    return [picture for _, _, picture in sorted(found, key=lambda each: each[:2])]


def classes_in(folder: Folder, split: str, left: LeftOut, wanted: Callable[[str], bool] = bool) -> Classes:
    """class -> its pictures, of the folder of a split; classes without pictures too, unless their name is not wanted."""
    classes: Classes = {}
    for name, entry in folder.entries():
        if isinstance(entry, Picture | str) or is_hidden(name) or not wanted(name):
            left.add(name, not _is_file(entry), split)
        else:
            check_name(name, folder.where)
            classes[name] = pictures_below(entry, f"{split}/{name}", left)
    return classes


def _is_file(entry: Folder | Picture | str) -> bool:
    return isinstance(entry, Picture | str)


def _places(
    folder: Folder, splits: Sequence[str], left: LeftOut, inside: str, seen: set[object] | None
) -> dict[str, list[Folder]]:
    """Where the splits lie: split -> folders of that name that hold folders, the uppermost of each branch.

    Args:
        folder: where to look.
        splits: their names.
        left: what else lies beside them and above.
        inside: the folder's own name, for `left`.
        seen: folders that were searched; None: the splits lie in this folder or nowhere.
    """
    found: dict[str, list[Folder]] = {}
    for name, entry in folder.entries():
        here: dict[str, list[Folder]] = {}
        within = LeftOut()
        if not isinstance(entry, Picture | str) and not is_hidden(name):
            if name in splits and any(not _is_file(each) and not is_hidden(label) for label, each in entry.entries()):
                here = {name: [entry]}
            elif seen is not None and entry.identity not in seen:
                seen.add(entry.identity)
                here = _places(entry, splits, within, f"{inside}/{name}".lstrip("/"), seen)
        if here:
            left.update(within)
        else:
            left.add(name, not _is_file(entry), inside)
        for split, folders in here.items():
            found.setdefault(split, []).extend(folders)
    return found


def picture_tree(path: Path, splits: Sequence[str]) -> tuple[dict[str, Classes], LeftOut]:
    """split -> class -> pictures of a directory or tar of split/class/picture; in a tar, folders may lie above the splits.

    Raises:
        BenchError: there is none, the archive is damaged, or something in it cannot be taken; it is named.
    """
    left = LeftOut()
    if (kind := kind_of(path)) == "file":
        places = _places(tar_tree(path), splits, left, "", set())
    elif kind == "folder":
        places = _places(Directory(path), splits, left, "", None)
    else:
        raise BenchError(f"there is no image folder or archive {shown(str(path))}")
    for split, folders in places.items():
        if len(folders) > 1:
            several = " and ".join(shown(each.where) for each in folders[:2])
            raise BenchError(f"the split {split} lies in two places, {several}: keep one of them")
    return {split: classes_in(places[split][0], split, left) if split in places else {} for split in splits}, left


def check_classes(path: Path, splits: dict[str, Classes]) -> None:
    """All splits have the same classes, each with a picture."""
    if not all(splits.values()):
        raise BenchError(
            f"{shown(str(path))} is not a dataset: expected train/CLASS/IMAGE and test/CLASS/IMAGE with the same classes "
            "(without test, test_images says how many of train to take); "
            f"found {' and '.join(f'{len(classes)} classes in {split}' for split, classes in splits.items())}"
        )
    faults = []
    for split, classes in splits.items():
        elsewhere = {name for other in splits.values() for name in other}
        if absent := sorted(elsewhere - classes.keys()):
            faults.append(f"{_listed(absent)} not in {split}")
        if empty := sorted(name for name, pictures in classes.items() if not pictures):
            faults.append(f"{_listed(empty)} without a picture in {split}")
    if faults:
        raise BenchError(f"{shown(str(path))}: every class needs pictures in {' and '.join(splits)}, but {'; '.join(faults)}")


def _listed(classes: list[str]) -> str:
    more = f" and {len(classes) - _NAMED} more" if len(classes) > _NAMED else ""
    return f"{'class' if len(classes) == 1 else 'classes'} {', '.join(map(shown, classes[:_NAMED]))}{more}"
