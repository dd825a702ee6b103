"""`slt-bench run` and DVC's search stages: what is left of tables and cells, several at a time."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path

from slt_bench.common import paths
from slt_bench.common.errors import BenchError
from slt_bench.common.files import in_turn
from slt_bench.compute.devices import cells_at_a_time, visible_devices
from slt_bench.experiment.cell import Cell
from slt_bench.experiment.experiments import Experiments
from slt_bench.experiment.grid import families
from slt_bench.params.datasets import Images
from slt_bench.records.leftovers import leftovers
from slt_bench.records.provenance import parent_digest
from slt_bench.records.shared import set_aside, take_from_others
from slt_bench.run.announce import announcement
from slt_bench.run.pool import run_cells
from slt_bench.run.tasks import prepare_dataset, run_cell, show_table

ANNOUNCED = "SLT_BENCH_ANNOUNCED"  # in the environment of stages: what is asked for has been said already


def run_targets(
    experiments: Experiments, targets: Sequence[str], jobs: int | None, devices: Sequence[str], part: tuple[int, int] = (1, 1)
) -> None:
    """Run what is left of tables and cells; the tables' reports follow, and with DVC everything becomes DVC's.

    Args:
        experiments: what params.yaml declares.
        targets: names of tables and ids of cells.
        jobs: cells at a time; one a device or core if None.
        devices: CUDA devices to spread the cells over; all that are visible if empty.
        part: (i, n): the i-th of n parts of the cells, from 1.

    Raises:
        BenchError: at the end, listing the cells that failed, each with the reason and its log.
    """
    tables = [target for target in targets if target in experiments.tables]
    cells = [cell for table in tables for cell in experiments.tables[table].cells]
    for target in targets:
        if target not in experiments.tables:
            cells += [cell for cell in _with_parent(experiments, target) if cell not in cells]
    mine = [cell for family in families(cells)[part[0] - 1 :: part[1]] for cell in family]
    if not mine:
        print(f"nothing is in part {part[0]} of {part[1]}")
        return
    through_dvc = bool(tables) and Path(".dvc").is_dir() and find_spec("dvc") is not None
    alone = not tables and len(mine) == 1 and not devices
    if alone:
        _prepare(experiments, mine, through_dvc=False)
        run_cell(experiments.params.machine, mine[0])
        return
    _announce(experiments, mine, jobs, devices)
    _prepare(experiments, mine, through_dvc)
    search(experiments, tables, mine, jobs, devices)
    if len(mine) < len(cells) or not tables:
        return
    if through_dvc:
        _dvc(*(f"table@{table}" for table in tables))
        return
    for table in tables:
        show_table(experiments.tables[table])


def search_table(experiments: Experiments, table: str) -> None:
    """Run what is left of a table whose dataset is prepared; nothing that is there is lost if that fails.

    Raises:
        BenchError: as `run_targets`.
    """
    cells = experiments.table(table).cells
    if ANNOUNCED not in os.environ:
        _announce(experiments, cells, None, ())
    search(experiments, [table], cells, None, ())


def search(
    experiments: Experiments, tables: Sequence[str], cells: Sequence[Cell], jobs: int | None, devices: Sequence[str]
) -> None:
    """Run the cells that no table has a result of; what tables share, or declare no more, is put where it belongs."""
    for table in tables:
        for place in set_aside(table, experiments.tables[table].cells):
            print(f"note: {table} declares {place.name} no more; its result lies in {place.parent}")
    taken = take_from_others(cells)
    if taken:
        print(f"{len(taken)} results are there already, in other tables or set aside")
    machine, devices = experiments.params.machine, devices or visible_devices()
    failures = run_cells(machine, cells, jobs or cells_at_a_time(devices), devices)
    if failures:
        told = [f"  {each.cell.id}: {each.reason}" + (f" ({each.log})" if each.log else "") for each in failures]
        raise BenchError(
            f"{len(failures)} of {len(cells)} cells failed; the same command tries them again:\n" + "\n".join(told)
        )


def _announce(experiments: Experiments, cells: Sequence[Cell], jobs: int | None, devices: Sequence[str]) -> None:
    for line in (f"note: {each}" for each in leftovers()):
        print(line)
    for line in announcement(experiments, cells, jobs or cells_at_a_time(devices or visible_devices())):
        print(line, flush=True)


def _with_parent(experiments: Experiments, cell_id: str) -> list[Cell]:
    """A cell, after the one whose ticket its source is made from, where that is not there yet."""
    cell = experiments.cell(cell_id)
    parent = cell.source.parent
    if parent and parent_digest(cell.parent_directory) == "missing":
        return [each for each in experiments.tables[cell.table].cells if each.id in (parent.id, cell_id)]
    return [cell]


def _prepare(experiments: Experiments, cells: Iterable[Cell], through_dvc: bool) -> None:
    """Write the datasets of these cells that are not there or are of other parameters."""
    images = {cell.dataset_name: cell.dataset.images for cell in cells}
    if through_dvc:
        _dvc(*(f"prepare@{name}" for name in images))
        return
    for name, asked in images.items():
        if _missing(name, asked):
            with in_turn(paths.STATE / "prepare.lock"):  # of an array of jobs the first to come does it
                if reason := _missing(name, asked):
                    print(f"{reason}; doing so")
                    prepare_dataset(experiments, name)


def _dvc(*targets: str) -> None:
    """Let DVC bring targets up to date.

    Raises:
        SystemExit: it could not; it has said why.
    """
    command = [sys.executable, "-m", "dvc", "--wait-for-lock", "repro", "--quiet", *targets]
    status = subprocess.run(command, env=os.environ | {ANNOUNCED: "1"}).returncode
    if status:
        raise SystemExit(status)


def _missing(name: str, images: Images) -> BenchError | None:
    from slt_bench.data.manifest import check_manifest, read_manifest

    try:
        check_manifest(read_manifest(paths.dataset_dir(name)), images, name)
    except BenchError as reason:
        return reason
    return None
