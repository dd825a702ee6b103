"""Results that several tables have: a cell is computed once, and every table holds its files."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from slt_bench.common import paths
from slt_bench.common.files import replaced
from slt_bench.experiment.cell import Cell
from slt_bench.records.checksums import damaged_files
from slt_bench.records.standing import digest_of, is_done, standing


def take_from_others(cells: Iterable[Cell]) -> list[Cell]:
    """Copy the results that other tables, or what was set aside, have of these cells; returns the cells that it did so for.

    Args:
        cells: of one table; one whose ticket another needs comes before it.

    Raises:
        BenchError: a dataset is not prepared, or files cannot be written.
    """
    taken = []
    for cell in cells:
        if not is_done(cell) and (source := _found(cell)) is not None:
            with replaced(cell.directory) as directory:
                shutil.copytree(source, directory, dirs_exist_ok=True)
            taken.append(cell)
    return taken


def _found(cell: Cell) -> Path | None:
    """Another directory with the whole result of a cell."""
    images = digest_of(cell)
    for root in (paths.CELLS, paths.SET_ASIDE):
        for directory in sorted(root.glob(f"*/{cell.id}")):
            if directory == cell.directory or not standing(cell, images, directory=directory).is_result:
                continue
            if not damaged_files(directory):
                return directory
    return None


def set_aside(table: str, cells: Iterable[Cell]) -> list[Path]:
    """Move what a table's directory holds of cells that the table does not declare; returns where it lies now."""
    declared, moved = {cell.id for cell in cells}, []
    with suppress(FileNotFoundError):
        for directory in sorted(paths.cells_dir(table).iterdir()):
            if directory.is_dir() and directory.name not in declared and not directory.name.startswith("."):
                moved.append(_move(directory, paths.SET_ASIDE / table / directory.name))
    return moved


def set_tables_aside(tables: Iterable[str]) -> list[Path]:
    """Move the results and reports of tables that params.yaml does not declare; returns where they lie now."""
    declared, moved = set(tables), []
    for root in (paths.CELLS, paths.TABLES):
        for directory in sorted(root.glob("*")):
            if directory.is_dir() and directory.name not in declared and not (directory / "search.json").exists():
                place = directory.name if root == paths.CELLS else f"{directory.name}-report"
                moved.append(_move(directory, paths.SET_ASIDE / place))
    return moved


def _move(directory: Path, target: Path) -> Path:
    shutil.rmtree(target, ignore_errors=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    directory.replace(target)
    return target
