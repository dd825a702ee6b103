"""Law 9 by force: a search killed at random moments, within the writing of its state too, ends with the same bits.

A few kills here; a campaign with `SLT_BENCH_KILLS=40 python -m pytest tests/search/test_kills.py -s`.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from slt_bench.common import paths
from slt_bench.experiment.cell import Cell
from slt_bench.params.searches import IterativeEdgePopup
from slt_bench.search.checkpoint import Checkpoint
from tests.conftest import FROZEN

KILLS = int(os.environ.get("SLT_BENCH_KILLS", "6"))
WAYS = ("any moment", "half written", "before fsync", "before the old is kept", "before the new takes its place", "after it")
SEARCH = """
import os, signal, sys, torch
from pathlib import Path
from slt_bench.experiment.cell import Cell
from slt_bench.params.machine import Machine
from slt_bench.compute.world import together
from slt_bench.search.run import search

way, number = sys.argv[1], int(sys.argv[2])

def die():
    global number
    number -= 1
    if number == 0:
        os.kill(os.getpid(), signal.SIGKILL)

fsync, replace, write_bytes = os.fsync, Path.replace, Path.write_bytes

def new_fsync(file):
    if way == "before fsync":
        die()
    fsync(file)

def new_replace(self, target):
    if way == "before the old is kept" and Path(target).name == "previous.pt":
        die()
    if way == "before the new takes its place" and Path(target).name == "checkpoint.pt":
        die()
    replace(self, target)
    if way == "after it" and Path(target).name == "checkpoint.pt":
        die()

def new_write_bytes(self, content):
    if way == "half written" and number == 1:
        write_bytes(self, bytes(content)[: len(content) // 2])
    if way == "half written":
        die()
    return write_bytes(self, content)

os.fsync, Path.replace, Path.write_bytes = new_fsync, new_replace, new_write_bytes
torch.set_num_threads(1)
print("begins", flush=True)
with together() as world:
    search(Cell.model_validate_json(open("cell.json").read()), machine=Machine(checkpoint_minutes=1e-9), world=world)
"""
LAUNCH = "import sys; from slt_bench.compute.launch import launch; sys.exit(launch(2, [sys.executable, '-c', *sys.argv[1:]]))"


def start(way: str, number: int, processes: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", SEARCH] if processes == 1 else [sys.executable, "-c", LAUNCH, SEARCH]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent.parent)}
    return subprocess.Popen([*command, way, str(number)], env=environment, stdout=subprocess.PIPE, text=True)


def result(cell: Cell) -> dict[str, bytes]:
    """What a search made; its state goes, as after the evaluation."""
    directory = cell.directory
    Checkpoint(paths.state_dir(cell.id, cell.identity), {}).delete()
    return {name: (directory / name).read_bytes() for name in ("ticket.safetensors", "last.safetensors", "history.csv")}


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_killed_searches_end_with_the_same_bits(project: Path, make_cell: Callable[..., Cell], processes: int) -> None:
    iep = IterativeEdgePopup(kind="iterative-edge-popup", iterations=3)
    cell = make_cell(search=iep, search_name="iep", source=FROZEN, recipe={"epochs": 6, "shards": 2, "batch_size": 32})
    Path("cell.json").write_text(cell.model_dump_json())
    assert start("never", 0, processes).wait() == 0
    straight, chance = result(cell), random.Random(processes)
    state = paths.state_dir(cell.id, cell.identity)
    killed, resumed, wrong = Counter[str](), 0, 0
    ways = WAYS if processes == 1 else WAYS[1::2] + WAYS[::2]
    while killed.total() < (KILLS if processes == 1 else KILLS // 2):  # a campaign tries all of them with two as well
        way = ways[killed.total() % len(ways)]
        resumed += bool(list(state.glob("*.pt")))
        child = start(way, chance.randint(1, 12), processes)
        assert child.stdout is not None
        child.stdout.readline()
        if way == "any moment":
            time.sleep(chance.uniform(0, 3))
            child.send_signal(signal.SIGKILL)
        code = child.wait()
        if code == 0:  # it came to its end before
            wrong += result(cell) != straight
        else:
            # -6: the other process of two has lost its partner, and was seen first.
            assert code in (-9, 256 - 9, 256 - 6), f"ended by {code}, not by a kill"
            killed[way] += 1
    assert start("never", 0, processes).wait() == 0
    wrong += result(cell) != straight
    print(f"\n{processes} processes: {killed.total()} kills ({dict(killed)}), {resumed} resumptions, {wrong} wrong")
    assert wrong == 0 and resumed > 0
