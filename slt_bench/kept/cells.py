"""The results of a kept table's cells, without their tickets: from them the table goes on where its cells were never run."""

from __future__ import annotations

import lzma
import tarfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path, PurePosixPath

from slt_bench.common import paths
from slt_bench.common.errors import BenchError
from slt_bench.common.files import atomic, replaced, write_bytes
from slt_bench.experiment.cell import Cell
from slt_bench.experiment.experiments import Experiment
from slt_bench.kept.table import kept_cells
from slt_bench.records.checksums import NAME as CHECKSUMS
from slt_bench.records.checksums import OF_A_RESULT, TICKETS
from slt_bench.records.result import Result
from slt_bench.report.results import TableResults

NAME = "cells.tar.xz"
_FILES = (*(name for name in OF_A_RESULT if name not in TICKETS), CHECKSUMS)
_MOST_BYTES = 10_000_000  # of a result file


def keep_cells(results: TableResults, folder: Path) -> None:
    """Write the result files of a table's cells into one archive; of equal results the archive is equal too.

    Args:
        results: of the table.
        folder: where the archive is written.
    """
    ended = _ended(results)
    with (
        atomic(folder / NAME) as partial,
        lzma.open(partial, "wb", preset=9) as file,
        tarfile.open(fileobj=file, mode="w") as tar,
    ):
        for name in _FILES:  # like beside like: this takes half the bytes
            for cell in ended:
                if (cell.directory / name).is_file():
                    content = (cell.directory / name).read_bytes()
                    entry = tarfile.TarInfo(f"{cell.id}/{name}")
                    entry.size = len(content)
                    tar.addfile(entry, BytesIO(content))


def lost_cells(results: TableResults) -> list[str]:
    """List the cells of a table whose results are kept, and which would be lost if it were kept as it is now.

    Args:
        results: of the table; cells that it declares no more are not meant.

    Raises:
        BenchError: what is kept of the table does not say of which cells it is.
    """
    experiment, folder = results.experiment, paths.RESULTS / results.name
    if not folder.exists():
        return []
    kept = kept_cells(folder)
    declared = {cell.id for cell in experiment.all_cells}
    return sorted((kept & declared) - {cell.id for cell in _ended(results)})


def _ended(results: TableResults) -> list[Cell]:
    outcomes = results.outcomes.values()
    return [outcome.cell for outcome in outcomes if isinstance(outcome, Result) or outcome.kind == "diverged"]


def restore_cells(experiment: Experiment) -> tuple[list[Cell], list[str]]:
    """Put the kept results of a table's cells back into outputs/; a folder of a cell that holds anything stays as it is.

    Args:
        experiment: the table; results of cells that it declares no more are left out.

    Returns:
        The cells whose results are there now and were not before, and the ids of those that are left out.

    Raises:
        BenchError: the table is not kept, or without its cells, or the archive is damaged.
    """
    archive = paths.RESULTS / experiment.name / NAME
    declared = {cell.id: cell for cell in experiment.all_cells}
    kept: dict[str, dict[str, bytes]] = {}
    for cell_id, name, content in _entries(archive):
        kept.setdefault(cell_id, {})[name] = content
    restored = [declared[cell_id] for cell_id in kept if cell_id in declared and _is_free(declared[cell_id].directory)]
    for cell in restored:
        with replaced(cell.directory) as directory:
            for name, content in kept[cell.id].items():
                write_bytes(directory / name, content)
    return restored, [cell_id for cell_id in kept if cell_id not in declared]


def _is_free(directory: Path) -> bool:
    """Whether a result may take a place: nothing is there, or an empty folder."""
    return not directory.exists() or (directory.is_dir() and not any(directory.iterdir()))


def _entries(archive: Path) -> Iterator[tuple[str, str, bytes]]:
    """Read the result files in an archive: the cell's id, the file's name and its content."""
    try:
        with tarfile.open(archive, "r:xz") as tar:
            for entry in tar:
                *folders, name = PurePosixPath(entry.name).parts
                if len(folders) != 1 or not entry.isreg() or name not in _FILES or entry.size > _MOST_BYTES:
                    raise ValueError(f"{entry.name!r} is no result file of a cell")
                file = tar.extractfile(entry)
                assert file is not None
                yield folders[0], name, file.read()
    except FileNotFoundError:
        raise BenchError(f"{archive} is not there: this table is not kept, or without the results of its cells") from None
    except (OSError, EOFError, ValueError, tarfile.TarError, lzma.LZMAError) as error:
        raise BenchError(f"{archive} is damaged: {type(error).__name__}: {error}") from None
