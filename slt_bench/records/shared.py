"""Results that several tables share: a cell is computed once, and every table has a copy of its files."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from slt_bench.common import paths
from slt_bench.common.files import replaced
from slt_bench.experiment.cell import Cell
from slt_bench.records.checksums import NAME as CHECKSUMS
from slt_bench.records.checksums import damaged_files
from slt_bench.records.standing import cell_standing, image_digests, is_done


def take_from_others(cells: Iterable[Cell]) -> list[Cell]:
    """Copy results of cells from other tables, or from what was set aside.

    Args:
        cells: of one table; a parent comes before its children.

    Returns:
        The cells that have a result now and had none before.

    Raises:
        BenchError: a dataset is not prepared, or files cannot be written.
    """
    cells, taken = list(cells), []
    images = image_digests(cells)
    for cell in cells:
        digest = images[cell.dataset_name]
        if not is_done(cell, digest) and (source := _find_result(cell, digest)) is not None:
            set_edited_aside(cell)
            with replaced(cell.directory) as directory:
                shutil.copytree(source, directory, dirs_exist_ok=True)
            taken.append(cell)
    return taken


def _find_result(cell: Cell, images: str) -> Path | None:
    """Find the whole result of a cell, on images of this digest, in another directory than the cell's own."""
    for root in (paths.CELLS, paths.SET_ASIDE):
        for directory in sorted([*root.glob(f"*/{cell.id}"), *root.glob(f"*/{cell.id}.*")]):
            if directory != cell.directory and cell_standing(cell, images, directory=directory, tickets=True).is_result:
                return directory
    return None


def set_aside(table: str, cells: Iterable[Cell]) -> list[Path]:
    """Set aside the results in a table's directory of cells that the table does not declare; return their new directories."""
    declared, moved = {cell.id for cell in cells}, []
    with suppress(FileNotFoundError):
        for directory in sorted(paths.cells_dir(table).iterdir()):
            if directory.is_dir() and directory.name not in declared and not directory.name.startswith("."):
                if not any(directory.iterdir()):  # a search makes it as it begins: nothing to keep, or to replace a result by
                    directory.rmdir()
                    continue
                moved.append(_move_aside(directory, paths.SET_ASIDE / table / directory.name))
    return moved


def set_edited_aside(cell: Cell) -> None:
    """Set aside the result in a cell's directory if it is of other parameters, before another one takes its place."""
    standing = cell_standing(cell, None, evaluated=False)
    if standing.record is not None and "parameters" in standing.differences:
        name = f"{cell.id}.{standing.record['identity']}"
        moved = _move_aside(cell.directory, paths.SET_ASIDE / cell.table / name)
        print(f"note: the result of other parameters may be wanted again: it lies in {moved}", flush=True)


def set_tables_aside(tables: Iterable[str]) -> list[Path]:
    """Set aside the results and reports of tables that params.yaml does not declare; return their new directories."""
    declared, moved = set(tables), []
    kept = declared | set(map(paths.rates_table, declared))
    for directory in sorted(paths.CELLS.glob("*")):
        if directory.is_dir() and directory.name not in kept and not (directory / "search.json").exists():
            set_aside(directory.name, ())  # cell by cell: others of this table may have been set aside before
            _remove(directory)
            moved.append(paths.SET_ASIDE / directory.name)
    for directory in sorted(paths.TABLES.glob("*")):
        if directory.is_dir() and directory.name not in declared:
            # A report can be written again: the last one is enough. No table has a dot in its name, so none loses its results.
            target = paths.SET_ASIDE / f"{directory.name}.report"
            _remove(target)
            moved.append(_move(directory, target))
    return moved


def _move_aside(directory: Path, target: Path) -> Path:
    """Set a cell's directory aside; another result that lies under that name already stays, and this one gets a number."""
    other, number = target, 1
    while other.exists():
        if _has_same_digests(directory, other) and not damaged_files(other):
            shutil.rmtree(directory)
            return other
        number += 1
        other = target.with_name(f"{target.name}.{number}")
    return _move(directory, other)


def _has_same_digests(one: Path, other: Path) -> bool:
    try:
        return (one / CHECKSUMS).read_bytes() == (other / CHECKSUMS).read_bytes()
    except FileNotFoundError:
        return False


def _move(directory: Path, target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(directory, target)  # a table's directory may be a link to another disk
    return target


def _remove(directory: Path) -> None:
    """Remove a directory if it is there; of a link to one, the link alone."""
    if directory.is_symlink():
        directory.unlink()
    elif directory.exists():
        shutil.rmtree(directory)
