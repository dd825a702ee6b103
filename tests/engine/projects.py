"""Toy projects with families of cells, and the processes that run them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from slt_bench.experiment.cell import Cell
from slt_bench.experiment.experiments import Experiments
from slt_bench.experiment.load import load_experiments
from tests.experiment.test_params import GOOD
from tests.fresh import Command

ROOT = Path(__file__).parent.parent.parent
PARAMS = """\
machine: {checkpoint_minutes: 1}
""" + GOOD[: GOOD.index("    rows:")].replace("  ep:", "  random: {kind: random-mask}\n  ep:") + """\
    rows:
      - {search: ep, sparsity: 0.5}
      - {search: random, source: {prune_ratio: 0.5, lock_ratio: 0.5, layout: from_ticket, ticket: {search: ep, sparsity: 0.5}},
         sparsity: 0.5}
"""  # fmt: skip
ONE_SEED = PARAMS.replace("seeds: [0, 1]", "seeds: [0]")
WILD = ONE_SEED.replace("searches:", "  wild: {epochs: 2, batch_size: 64, learning_rate: 1e30}\nsearches:").replace(
    "      - {search: ep, sparsity: 0.5}", "      - {search: training, recipe: wild}\n      - {search: ep, sparsity: 0.5}"
)


STARTED: list[subprocess.Popen[str] | Command] = []  # what a test has started, and is ended with it


def written(text: str) -> Experiments:
    """Write params.yaml into the working directory and read it."""
    Path("params.yaml").write_text(text)
    return load_experiments()


def bits(cells: Iterable[Cell]) -> dict[str, list[bytes]]:
    """Read what must be equal however cells were run, by cell."""
    names = ("ticket.safetensors", "history.csv", "metrics.json")
    return {cell.id: [(cell.directory / name).read_bytes() for name in names] for cell in cells}


def in_the_way(cell: Cell) -> Path:
    """Write a file where the folder of a cell's results should be, so that it fails."""
    path = cell.directory
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("in the way")
    return path


def environment() -> dict[str, str]:
    """Variables for a process that runs this checkout, without MLflow, which has tests of its own."""
    return os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests/absent'}", "OMP_NUM_THREADS": "1"}


def started(*arguments: str) -> subprocess.Popen[str]:
    """Start `slt-bench run` as a process of its own, as a shell does."""
    command = [sys.executable, "-m", "slt_bench", "run", *arguments]

    def listen() -> None:  # to Ctrl-C, which what is started in the background ignores
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    pipe = subprocess.PIPE
    process = subprocess.Popen(command, env=environment(), stdout=pipe, stderr=pipe, text=True, preexec_fn=listen)
    STARTED.append(process)
    return process


def forked(*arguments: str) -> Command:
    """Start `slt-bench run` in a process where all is imported already."""
    process = Command("run", *arguments)
    STARTED.append(process)
    return process


def lengths(logs: list[Path]) -> dict[Path, int]:
    """Measure what these logs have said so far, in characters."""
    return {log: len(log.read_text()) if log.is_file() else 0 for log in logs}


def wait_until_said(
    logs: list[Path], text: str, process: subprocess.Popen[str] | Command | None = None, after: Mapping[Path, int] | None = None
) -> None:
    """Wait until each of these logs has a text, after so many characters of it, while a process runs."""
    until = time.monotonic() + 60
    while not all(log.is_file() and text in log.read_text()[(after or {}).get(log, 0) :] for log in logs):
        assert time.monotonic() < until and (process is None or process.poll() is None)
        time.sleep(0.05)
