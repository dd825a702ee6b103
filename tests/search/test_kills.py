"""Law 9 by force: a search killed at random moments, within the writing of its state too, ends with the same bits.

A few kills here; a campaign with `SLT_BENCH_KILLS=40 python -m pytest tests/search/test_kills.py -s`.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Callable
from multiprocessing import connection
from pathlib import Path

import pytest

from slt_bench.common import paths
from slt_bench.experiment.cell import Cell
from slt_bench.search.checkpoint import Checkpoint
from slt_bench.search.methods.iterative_edge_popup import IterativeEdgePopup
from tests.conftest import FROZEN
from tests.fresh import start_ranks
from tests.search.dying import WAYS, search_and_die

KILLS = int(os.environ.get("SLT_BENCH_KILLS", "6"))
BEGUN = Path("begun")


class Child:
    """A search by one process or several; they end together, as `launch` sees to it."""

    def __init__(self, cell: Cell, way: str, number: int, processes: int) -> None:
        BEGUN.unlink(missing_ok=True)
        self.ranks = start_ranks(processes, search_and_die, cell, way, number, str(BEGUN))

    def wait(self) -> int:
        """Wait for the end of all, or of one that fails; returns its exit status."""
        while any(rank.is_alive() for rank in self.ranks) and not any(rank.exitcode for rank in self.ranks):
            connection.wait([rank.sentinel for rank in self.ranks if rank.is_alive()], timeout=1)
        status = next((rank.exitcode for rank in self.ranks if rank.exitcode), 0)
        self.kill()
        return status

    def kill(self) -> None:
        """Kill all that run."""
        for rank in self.ranks:
            rank.kill()
            rank.join()


def result(cell: Cell) -> dict[str, bytes]:
    """What a search made; its state goes, as after the evaluation."""
    directory = cell.directory
    Checkpoint(paths.state_dir(cell.id, cell.identity), {}).delete()
    return {name: (directory / name).read_bytes() for name in ("ticket.safetensors", "last.safetensors", "history.csv")}


@pytest.mark.slow
@pytest.mark.campaign
@pytest.mark.parametrize("processes", [1, 2])
def test_killed_searches_end_with_the_same_bits(project: Path, make_cell: Callable[..., Cell], processes: int) -> None:
    iep = IterativeEdgePopup(kind="iterative-edge-popup", iterations=3)
    cell = make_cell(search=iep, search_name="iep", source=FROZEN, recipe={"epochs": 6, "shards": 2, "batch_size": 32})
    Path("cell.json").write_text(cell.model_dump_json())
    assert Child(cell, "never", 0, processes).wait() == 0
    straight, chance = result(cell), random.Random(processes)
    state = paths.state_dir(cell.id, cell.identity)
    killed, resumed, wrong = Counter[str](), 0, 0
    ways = WAYS if processes == 1 else WAYS[1::2] + WAYS[::2]
    while killed.total() < (KILLS if processes == 1 else KILLS // 2):  # a campaign tries all of them with two as well
        way = ways[killed.total() % len(ways)]
        resumed += bool(list(state.glob("*.pt")))
        child = Child(cell, way, chance.randint(1, 12), processes)
        if way == "any moment":
            while not BEGUN.exists():
                time.sleep(0.01)
            time.sleep(chance.uniform(0, 1.5))
            child.kill()
        code = child.wait()
        if code == 0:  # it came to its end before
            wrong += result(cell) != straight
        else:
            # 1, -6: the other process of two has lost its partner, and was seen first.
            assert code in ((-9,) if processes == 1 else (-9, -6, 1)), f"ended by {code}, not by a kill"
            killed[way] += 1
    assert Child(cell, "never", 0, processes).wait() == 0
    wrong += result(cell) != straight
    print(f"\n{processes} processes: {killed.total()} kills ({dict(killed)}), {resumed} resumptions, {wrong} wrong")
    assert wrong == 0 and resumed > 0
