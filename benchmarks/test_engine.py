"""What the engine itself costs: a thousand cells that do nothing, on this machine and on two dask workers."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from slt_bench.engine.channel import Line
from slt_bench.engine.executors import LOCAL, Engine, opened
from slt_bench.engine.head import run_jobs
from slt_bench.engine.job import Job, Outcome, Report, Versions
from slt_bench.engine.progress import Progress
from slt_bench.experiment.load import load_experiments
from slt_bench.params.machine import Machine
from slt_bench.run.many import WORK
from tests.engine.cluster import cluster
from tests.engine.projects import PARAMS

CELLS = 1000


def nothing(job: Job, line: Line, device: str | None = None) -> Report:
    """Do nothing, and say so."""
    del device
    return Report(line.worker, tuple(Outcome(cell.table, cell.id, "done", cell.id, 0.0) for cell in job.cells))


@contextmanager
def engine_of(kind: str, directory: Path) -> Iterator[Engine]:
    if kind == LOCAL:
        with opened(LOCAL, "bench", 2) as engine:
            yield engine
        return
    with cluster(directory, "w1", "w2") as made, opened(made.address, "bench") as engine:
        yield engine


@pytest.mark.parametrize("kind", [LOCAL, "dask"])
def test_a_thousand_cells_that_do_nothing(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, benchmark: Any) -> None:
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(PARAMS.replace("seeds: [0, 1]", f"seeds: {list(range(CELLS))}"))
    cells = [cell for cell in load_experiments().tables["one"].cells if cell.source.parent is None]
    jobs = [Job((cell,), WORK, {cell.id: cell.identity}, Machine(), Versions("", {}), {}, tmp_path, "bench") for cell in cells]
    with engine_of(kind, tmp_path) as engine:

        def run() -> None:
            with Progress(CELLS, 0) as progress:
                assert run_jobs(jobs, engine, progress, nothing) == []

        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        benchmark.pedantic(run, rounds=3)
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    benchmark.extra_info |= {"cells": len(cells), "head grew by MB": grown}
    print(f"{kind}: {len(cells)} cells, {benchmark.stats['median'] / CELLS * 1000:.2f} ms a cell, head grew by {grown:.0f} MB")
