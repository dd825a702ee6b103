"""Trees of split/class/picture in directories and tar archives: their classes and pictures, and what is left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from slt_bench.common.errors import BenchError
from slt_bench.data.sources.folders import Directory, Folder
from slt_bench.data.sources.left_out import LeftOut, is_hidden
from slt_bench.data.sources.pictures import Picture, check_name, escaped, is_picture, kind_of
from slt_bench.data.sources.tars import tar_tree

_DEEPEST = 100  # folder in folder
_NAMED = 5  # classes in a message

Classes = dict[str, list[Picture]]


def pictures_below(folder: Folder, name: str, left_out: LeftOut) -> list[Picture]:
    """List the pictures in a folder at any depth, links followed.

    Args:
        folder: where to look.
        name: what `left_out` calls the folder.
        left_out: receives what is no picture, and hidden files and folders.

    Returns:
        The pictures in the order of torchvision's ImageFolder: by folder, then by name.

    Raises:
        BenchError: a link leads nowhere or back to a folder above, a name is not UTF-8, or a folder cannot be read; the
            message names it.
    """
    found: list[tuple[str, str, Picture]] = []
    waiting: list[tuple[Folder, str, list[object]]] = [(folder, "", [])]
    while waiting:
        current, inside, above = waiting.pop()
        if (identity := current.identity) in above:
            raise BenchError(f"{escaped(current.location)} leads back to a folder that it lies in: remove the link")
        if len(above) == _DEEPEST:
            raise BenchError(f"{escaped(current.location)} lies in more than {_DEEPEST} folders: move its pictures up")
        for child, entry in current.entries():
            if is_hidden(child) or (_is_file(entry) and not is_picture(child)):
                left_out.add(child, not _is_file(entry), name + inside)
                continue
            check_name(child, current.location)
            if isinstance(entry, str):
                raise BenchError(f"{escaped(current.location)}: {escaped(child)} {entry}: fix or remove it")
            if isinstance(entry, Picture):
                found.append((inside, child, entry))
            else:
                waiting.append((entry, f"{inside}/{child}", [*above, identity]))
    return [picture for _, _, picture in sorted(found, key=lambda item: item[:2])]


def classes_in(folder: Folder, split: str, left_out: LeftOut, is_class: Callable[[str], bool] = bool) -> Classes:
    """Find the classes in the folder of a split, and the pictures of each.

    Args:
        folder: of the split.
        split: its name, for `left_out`.
        left_out: receives everything that is in no class, or no picture.
        is_class: whether a folder of this name is a class; by default all are that are not hidden.

    Returns:
        Class -> pictures; classes without a picture too.

    Raises:
        BenchError: as `pictures_below` does.
    """
    classes: Classes = {}
    for name, entry in folder.entries():
        if isinstance(entry, Picture | str) or is_hidden(name) or not is_class(name):
            left_out.add(name, not _is_file(entry), split)
        else:
            check_name(name, folder.location)
            classes[name] = pictures_below(entry, f"{split}/{name}", left_out)
    return classes


def _is_file(entry: Folder | Picture | str) -> bool:
    """Decide whether an entry is no folder."""
    return isinstance(entry, Picture | str)


def _find_splits(
    folder: Folder, splits: Sequence[str], left_out: LeftOut, name: str, searched: set[object] | None
) -> dict[str, list[Folder]]:
    """Find the folders of the splits, the uppermost in each branch of a tree.

    Args:
        folder: where to look.
        splits: names of the splits.
        left_out: receives what lies beside the splits and above them.
        name: what `left_out` calls the folder.
        searched: identities of folders that were searched before; None to look in this folder alone.

    Returns:
        Split -> folders of that name that hold folders.
    """
    found: dict[str, list[Folder]] = {}
    for child, entry in folder.entries():
        below: dict[str, list[Folder]] = {}
        left_out_below = LeftOut()
        if not isinstance(entry, Picture | str) and not is_hidden(child):
            if child in splits and any(not _is_file(inner) and not is_hidden(label) for label, inner in entry.entries()):
                below = {child: [entry]}
            elif searched is not None and entry.identity not in searched:
                searched.add(entry.identity)
                below = _find_splits(entry, splits, left_out_below, f"{name}/{child}".lstrip("/"), searched)
        if below:
            left_out.update(left_out_below)
        else:
            left_out.add(child, not _is_file(entry), name)
        for split, folders in below.items():
            found.setdefault(split, []).extend(folders)
    return found


def picture_tree(path: Path, splits: Sequence[str]) -> tuple[dict[str, Classes], LeftOut]:
    """Find the pictures of a directory or tar archive of split/class/picture.

    In an archive, other folders may lie above the splits.

    Args:
        path: the directory or archive.
        splits: names of the splits.

    Returns:
        Split -> class -> pictures, without classes for a split that is missing; and what was left out.

    Raises:
        BenchError: nothing lies at the path, the archive is damaged, or something in it cannot be taken, which is named.
    """
    left_out = LeftOut()
    if (kind := kind_of(path)) == "file":
        found = _find_splits(tar_tree(path), splits, left_out, "", set())
    elif kind == "folder":
        found = _find_splits(Directory(path), splits, left_out, "", None)
    else:
        raise BenchError(f"there is no image folder or archive {escaped(str(path))}")
    for split, folders in found.items():
        if len(folders) > 1:
            several = " and ".join(escaped(folder.location) for folder in folders[:2])
            raise BenchError(f"the split {split} lies in two places, {several}: keep one of them")
    return {split: classes_in(found[split][0], split, left_out) if split in found else {} for split in splits}, left_out


def check_classes(path: Path, splits: dict[str, Classes]) -> None:
    """Refuse splits that do not have the same classes, or a class without a picture.

    Args:
        path: the directory or archive, for the message.
        splits: split -> class -> pictures.

    Raises:
        BenchError: naming the classes that are missing or empty, and where; or there is a single class.
    """
    if not all(splits.values()):
        raise BenchError(
            f"{escaped(str(path))} is not a dataset: expected train/CLASS/IMAGE and test/CLASS/IMAGE with the same classes "
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
        raise BenchError(f"{escaped(str(path))}: every class needs pictures in {' and '.join(splits)}, but {'; '.join(faults)}")
    if len(only := next(iter(splits.values()))) == 1:
        raise BenchError(f"{escaped(str(path))} has the class {escaped(*only)} alone: a classifier needs two or more")


def _listed(classes: list[str]) -> str:
    """Name some classes: all of them if they are few, else the first ones and how many more."""
    more = f" and {len(classes) - _NAMED} more" if len(classes) > _NAMED else ""
    return f"{'class' if len(classes) == 1 else 'classes'} {', '.join(map(escaped, classes[:_NAMED]))}{more}"
