"""Seeds until decided: cells are run, of more seeds than a table has too, where an open claim can be closed most cheaply."""

from __future__ import annotations

import time
from collections.abc import Sequence

from slt_bench.common.errors import BenchError
from slt_bench.experiment.cell import Cell
from slt_bench.experiment.experiments import Experiment, Experiments
from slt_bench.report.open_claims import OpenClaim, describe, open_claims
from slt_bench.report.results import table_results
from slt_bench.run.datasets import prepare_missing
from slt_bench.run.many import Places, chosen, run_cells
from slt_bench.run.plan import plan
from slt_bench.run.reports import show_table


def decide_tables(experiments: Experiments, targets: Sequence[str], hours: float, places: Places) -> None:
    """Run cells of tables where open claims can be decided, one table after another, and report the tables.

    Args:
        experiments: all that params.yaml declares.
        targets: names of tables.
        hours: of the clock for all together.
        places: where the cells run.

    Raises:
        BenchError: a target is no table, or cells failed.
    """
    tables = [experiments.table(target) for target in targets]
    deadline = time.monotonic() + 3600 * hours
    for experiment in tables:
        prepare_missing(experiments, experiment.cells)
        decide(experiments, experiment.name, (deadline - time.monotonic()) / 3600, places)
        show_table(experiment)


def describe_open(experiment: Experiment) -> list[str]:
    """Write a line for each open claim of a table: what it takes to decide it."""
    claims = list(open_claims(table_results(experiment)))
    return [describe(claim, seconds) for claim, seconds in zip(claims, seconds_of(experiment, claims), strict=True)]


def decide(experiments: Experiments, table: str, hours: float, places: Places) -> None:
    """Run cells of a table until all claims are decided, hopeless, or the time is over.

    Args:
        experiments: all that params.yaml declares.
        table: name of the table.
        hours: of the clock, from now on.
        places: where the cells run.

    Raises:
        BenchError: cells failed.
    """
    experiment, deadline = experiments.table(table), time.monotonic() + 3600 * hours
    places = chosen(experiments.params.machine, places)
    while True:
        left, jobs = deadline - time.monotonic(), places.jobs or 1
        claims = list(open_claims(table_results(experiment)))
        times = seconds_of(experiment, claims)
        order = cheapest(claims, times, left * jobs)
        if not order:
            break
        first = order[0]
        print(describe(claims[first], times[first]), flush=True)
        cells = filled([claims[number].cells for number in order], jobs)
        if times[first] is None:
            cells = cells[:jobs]  # these tell the time
        failures = run_cells(experiments.params.machine, cells, places)
        if failures:
            raise BenchError(f"{len(failures)} cells failed, {failures[0].cell.id} first: {failures[0].reason}")
    for line in state_of(claims, times, left * jobs):
        print(line, flush=True)


def cheapest(claims: Sequence[OpenClaim], times: Sequence[float | None], seconds: float) -> list[int]:
    """Order the claims that more seeds would decide by what their next look takes, the cheapest first.

    Args:
        claims: open ones.
        times: seconds of one process that the next look of each takes; None where it is not known, which is tried first.
        seconds: of one process that are left.
    """
    candidates = [
        (times[number] or 0.0, number)
        for number, claim in enumerate(claims)
        if claim.cells and claim.decided_at is not None and (times[number] or 0.0) <= seconds and seconds > 0
    ]
    return [number for _, number in sorted(candidates)]


def filled(cells: Sequence[Sequence[Cell]], jobs: int) -> list[Cell]:
    """Take the cells of the first claim, and of those after it as many as keep all jobs busy to the end.

    Args:
        cells: that each claim needs, in the order of the claims.
        jobs: at a time.
    """
    first, *others = cells
    chosen = {cell.id: cell for cell in first}
    for cell in (cell for those in others for cell in those):
        if len(chosen) % jobs == 0:
            break
        chosen.setdefault(cell.id, cell)
    return list(chosen.values())


def state_of(claims: Sequence[OpenClaim], times: Sequence[float | None], seconds: float) -> list[str]:
    """Say why no more seeds are run: a line for each open claim."""
    if not claims:
        return ["all claims are decided"]
    lines = []
    for claim, needed in zip(claims, times, strict=True):
        late = claim.decided_at is not None and claim.cells and (needed or 0.0) > seconds
        lines.append(describe(claim, needed) + ("; the hours do not suffice" if late else ""))
    return lines


def seconds_of(experiment: Experiment, claims: Sequence[OpenClaim]) -> list[float | None]:
    """Estimate the seconds of one process that the next look of each claim takes, by what ran of the table."""
    cells: dict[str, Cell] = {cell.id: cell for claim in claims for cell in claim.cells}
    planned = {entry.cell.id: entry.seconds for entry in plan([*experiment.cells, *cells.values()])}
    times: list[float | None] = []
    for claim in claims:
        known = [seconds for cell in claim.cells if (seconds := planned[cell.id]) is not None]
        times.append(sum(known) if len(known) == len(claim.cells) else None)
    return times
