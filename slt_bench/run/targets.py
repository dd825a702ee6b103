"""`slt-bench run`: what is left of tables and cells, through DVC where tables are asked for and DVC is there."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from slt_bench.common import paths
from slt_bench.common.errors import BenchError
from slt_bench.common.files import in_turn
from slt_bench.experiment.cell import Cell
from slt_bench.experiment.grid import cells_of, families, find
from slt_bench.params.datasets import Images
from slt_bench.params.tables import Params
from slt_bench.records.provenance import parent_digest
from slt_bench.run.pool import run_cells
from slt_bench.run.tasks import prepare_dataset, report_table, run_cell, track_table


def run_targets(params: Params, targets: list[str], jobs: int, devices: list[str], part: tuple[int, int]) -> None:
    """Run what is left of tables and cells; what tables need is DVC's before and after, where DVC is.

    Raises:
        BenchError: at the end, listing the cells that failed, each with the reason and its log.
    """
    tables = [target for target in targets if target in params.tables]
    cells = cells_of(params, tables)
    cells |= {cell.id: cell for target in targets if target not in params.tables for cell in _with_parent(params, target)}
    mine = [cell for family in families(list(cells.values()))[part[0] - 1 :: part[1]] for cell in family]
    if not mine:
        print(f"nothing is in part {part[0]} of {part[1]}")
        return
    through_dvc = bool(tables) and Path(".dvc").is_dir()
    if through_dvc and (status := _dvc("before", [cell.id for cell in mine])):
        raise SystemExit(status)
    prepare_missing(params, mine)
    if not tables and len(mine) == 1 and not devices:
        run_cell(params, mine[0])
        return
    failures = run_cells(params, mine, jobs, devices)
    status = _dvc("after", [cell.id for cell in mine]) if through_dvc else 0
    if failures:
        told = [f"  {each.cell.id}: {each.reason}" + (f" ({each.log})" if each.log else "") for each in failures]
        raise BenchError(f"{len(failures)} of {len(mine)} cells failed; the same command tries them again:\n" + "\n".join(told))
    for table in tables if len(mine) == len(cells) else ():
        if through_dvc:
            status = status or _dvc("report", [table])
        else:
            print(report_table(params, table))
            track_table(params, table)
    if status:
        raise SystemExit(status)


def _with_parent(params: Params, cell_id: str) -> list[Cell]:
    """A cell, after the one whose ticket its source is made from, where that is not there yet."""
    cell = find(params, cell_id)
    parent = cell.source.ticket
    return [find(params, parent), cell] if parent and parent_digest(parent) == "missing" else [cell]


def _dvc(step: str, names: list[str]) -> int:
    """Nothing here knows DVC: a stage's script does it, in a process of its own. Returns its exit status."""
    return subprocess.run([sys.executable, "-m", "stages.results", step, *names]).returncode


def prepare_missing(params: Params, cells: Iterable[Cell]) -> None:
    """Write the datasets of these cells that are not there or are of other parameters."""
    for name, images in {cell.dataset_name: cell.dataset.images for cell in cells}.items():
        if _missing(name, images):
            with in_turn(paths.STATE / "prepare.lock"):  # of an array of jobs the first to come does it
                if reason := _missing(name, images):
                    print(f"{reason}; doing so")
                    prepare_dataset(params, name)


def _missing(name: str, images: Images) -> BenchError | None:
    from slt_bench.data.manifest import check_manifest, read_manifest

    try:
        check_manifest(read_manifest(paths.dataset_dir(name)), images, name)
    except BenchError as reason:
        return reason
    return None
