"""Cells of a paper's table at its own budget, for as long as there is time; they go on where they were stopped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from statistics import median
from typing import Any

import slt_bench
from benchmarks.gpu.notebook import Finding
from slt_bench.common.errors import BenchError, Preempted
from slt_bench.experiment.cell import Cell
from slt_bench.experiment.load import load_experiments

TABLE, NETWORKS = "frozen-cifar10", ("conv6", "resnet18")
# Of each network, at one sparsity a dense, a frozen and a pruned source; weight training; then other sparsities.
FIRST = ("dense_ep_otsuka-cifar10_s70", "p25l25-epl_ep_otsuka-cifar10_s70", "p50-epl_ep_otsuka-cifar10_s70", "dense_training",
         "dense_ep_otsuka-cifar10_s50", "p25l25-epl_ep_otsuka-cifar10_s50", "dense_ep_otsuka-cifar10_s90",
         "p50-epl_ep_otsuka-cifar10_s90", "p63l7-epl_ep_otsuka-cifar10_s90", "dense_random")  # fmt: skip


def cells_in_order() -> list[Cell]:
    """The table's cells: those of FIRST, seed by seed and in each network by network, then the others."""

    def rank(cell: Cell) -> tuple[int, int, int]:
        places = [place for place, part in enumerate(FIRST) if part in cell.id]
        return cell.seed if places else 1000, NETWORKS.index(cell.network_name), places[0] if places else 0

    return sorted(load_experiments().tables[TABLE].cells, key=rank)


def run_cells(cells: Sequence[Cell], minutes: float, jobs: int) -> Finding:
    """Run cells until the time is over, and say what has come out so far, in this run or before."""
    deadline, started = time.monotonic() + 60 * minutes, time.monotonic()
    command = [sys.executable, "-m", "slt_bench", "run", "--jobs", str(jobs), *(cell.id for cell in cells)]
    fine = {0}
    with subprocess.Popen(command, start_new_session=True) as process:
        try:
            process.wait(max(1.0, deadline - time.monotonic()))
        except (subprocess.TimeoutExpired, KeyboardInterrupt) as end:
            os.killpg(process.pid, signal.SIGTERM)  # they save their state; one that has just begun ends by the signal
            process.wait()
            fine |= {Preempted.status, -signal.SIGTERM}
            if isinstance(end, KeyboardInterrupt):
                raise
    rows = [row for cell in cells if (row := _row(cell)) is not None]
    columns = ["cell", "test top-1", "last epoch's", "kept edges", "precision", "seconds an epoch", "minutes",
               "rebuilt on a CPU"]  # fmt: skip
    notes = [f"{len(rows)} cells are done, {(time.monotonic() - started) / 60:.1f} minutes this time."]
    status = process.returncode
    failed = [] if status in fine else [f"`slt-bench run` ended with status {status}: see what it printed"]
    failed += [f"{row[0]} is not what its ticket gives on a CPU" for row in rows if row[-1].startswith("NO")]
    return Finding(columns, rows, notes, "; ".join(failed))


def _row(cell: Cell) -> list[Any] | None:
    """A cell's line; None where it has no result."""
    try:
        record, metrics = (json.loads((cell.directory / name).read_text("utf-8")) for name in ("search.json", "metrics.json"))
    except FileNotFoundError:
        return None
    seconds = record["epoch_seconds"]
    top1 = [f"{metrics[name]:.2f}" if name in metrics else "diverged" for name in ("top1", "last_top1")]
    kept = record.get("realised", {}).get("kept", 0)
    an_epoch = f"{median(seconds):.2f}" if seconds else ""  # none where the first diverged
    return [cell.id, *top1, f"{kept:,}", record.get("precision", ""), an_epoch, f"{sum(seconds) / 60:.1f}", _rebuilt(cell)]


def _rebuilt(cell: Cell) -> str:
    """Whether the ticket's effective weights come out of seed and bits on this CPU with the digest that it states."""
    ticket = cell.directory / "ticket.safetensors"
    if not ticket.is_file():
        return "no ticket"
    try:
        slt_bench.load_ticket(ticket)
    except BenchError as error:
        return f"NO: {error}"
    return "equal"
