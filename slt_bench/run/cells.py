"""What is done with one cell: searched, by one process or several, and evaluated; heavy libraries are imported late."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from slt_bench.common import paths
from slt_bench.common.errors import BenchError
from slt_bench.compute.devices import visible_devices
from slt_bench.compute.memory import prepare_to_compute

if TYPE_CHECKING:
    from slt_bench.experiment.cell import Cell
    from slt_bench.params.machine import Machine
    from slt_bench.records.standing import Standing


def run_cell(machine: Machine, cell: Cell) -> None:
    """Search a cell, unless it has a result, and evaluate it.

    Args:
        machine: how this machine runs searches.
        cell: the cell.

    Raises:
        BenchError: as `search_cell` and `evaluate_cell`.
    """
    from slt_bench.records.checksums import NAME as CHECKSUMS
    from slt_bench.records.checksums import write_checksums
    from slt_bench.records.standing import search_standing

    search_if_needed(machine, cell)
    standing = search_standing(cell)
    if standing.kind == "diverged":
        if not (cell.directory / CHECKSUMS).exists():  # the search was killed before it wrote them
            write_checksums(cell.directory)
        print(f"{cell.id}  DIVERGED: {standing.reason} (a lower learning rate may help)")
    else:
        _evaluate(machine, cell, standing)


def search_if_needed(machine: Machine, cell: Cell) -> None:
    """Search a cell as `search_cell` does, unless it has a result."""
    from slt_bench.records.standing import search_standing

    if search_standing(cell).is_result:
        print(f"{cell.directory} holds the result of this search; remove it to search again")
    else:
        search_cell(machine, cell)


def search_cell(machine: Machine, cell: Cell) -> None:
    """Search a cell with as many processes as `machine` says; a process that is one of them takes its part.

    Args:
        machine: how this machine runs searches.
        cell: the cell.

    Raises:
        BenchError: as `search.run.search`; or there are fewer CUDA devices than processes.
        SystemExit: one of the processes failed, and has printed the reason.
    """
    from slt_bench.compute.launch import launch, started_together, usable_world_size
    from slt_bench.records.standing import search_standing

    world_size = usable_world_size(machine.processes, cell.recipe.shards)
    if 0 < len(visible_devices()) < world_size and not started_together():
        _check_devices(world_size)
    if world_size == 1 or started_together():
        _search_in_this_process(machine, cell)
    else:
        handover = json.dumps({"cell": cell.model_dump(mode="json"), "machine": machine.model_dump(mode="json")})
        status = launch(world_size, [sys.executable, "-m", "slt_bench", "search", cell.id, "--given", handover])
        if status and search_standing(cell).kind != "diverged":  # divergence is a result too, though all processes end
            raise SystemExit(status if status > 0 else 1)


def _check_devices(processes: int) -> None:
    """Check that each process has a CUDA device, where torch can use any."""
    import torch

    count = torch.cuda.device_count()
    if torch.cuda.is_available() and count < processes:
        there = f"there {'is' if count == 1 else 'are'} {count}"
        raise BenchError(f"machine.processes: {processes} processes need a CUDA device each, and {there}")


def _search_in_this_process(machine: Machine, cell: Cell) -> None:
    """Search a cell in this process, and let MLflow follow in the experiment of the cell's table."""
    from slt_bench.common.errors import Interrupted

    prepare_to_compute()
    from slt_bench.compute.world import together
    from slt_bench.search.run import search
    from slt_bench.tracking.live import LiveRun

    with together() as world:
        if not world.first:
            search(cell, None, machine, world)
            return
        live, outcome = LiveRun(cell), None
        try:
            outcome = search(cell, live, machine, world)
        except BaseException as error:
            live.close("KILLED" if isinstance(error, Interrupted | KeyboardInterrupt) else "FAILED")
            raise
        live.close("FAILED" if outcome and "diverged" in outcome else "RUNNING")
    if live.comparison:
        print(f"compare: {live.comparison}")


def evaluate_cell(machine: Machine, cell: Cell) -> None:
    """Evaluate a cell's tickets, print the outcome, and remove the saved state of the search.

    Args:
        machine: how this machine runs searches.
        cell: the cell.

    Raises:
        BenchError: the cell has no tickets, or they are of other parameters, images or code than today's.
    """
    from slt_bench.records.standing import search_standing

    _evaluate(machine, cell, search_standing(cell))


def _evaluate(machine: Machine, cell: Cell, standing: Standing) -> None:
    prepare_to_compute()
    from slt_bench.run.evaluate import evaluate
    from slt_bench.search.checkpoint import Checkpoint

    if standing.kind != "done":
        fix = f"; `slt-bench run {cell.id}` makes what is missing"
        states = {"missing": f"is not there{fix}", "diverged": f"diverged: {standing.reason}; it has no ticket"}
        raise BenchError(f"the search of {cell.id} {states.get(standing.kind, f'is {standing.reason}{fix}')}")
    metrics = evaluate(cell.directory, paths.dataset_dir(cell.dataset_name), machine.workers)
    Checkpoint(paths.state_dir(cell.id, cell.identity), {}).delete()
    print(f"{cell.id}  test {metrics['top1']:.2f} %  {metrics['bytes']:,} bytes")
