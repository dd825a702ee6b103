"""Seeds until decided: cells are run, of more seeds than a table has too, where an open claim can be closed most cheaply."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence, Set

from slt_bench.engine.executors import LOCAL, width
from slt_bench.engine.head import Failure
from slt_bench.experiment.cell import Cell
from slt_bench.experiment.experiments import Experiment, Experiments
from slt_bench.records.begun import begun
from slt_bench.report.results import table_results
from slt_bench.report.verdicts.open_claims import OpenClaim, describe, open_claims
from slt_bench.run.datasets import prepare_missing
from slt_bench.run.many import Places, chosen
from slt_bench.run.tables.plan import plan
from slt_bench.run.tables.reports import show_table
from slt_bench.run.tables.targets import report_failures, search_cells

Times = Mapping[str, float | None]  # cell -> seconds of a process

_MANY = 1000  # cells at a time, where an executor does not tell its size


def decide_tables(experiments: Experiments, targets: Sequence[str], hours: float, places: Places) -> None:
    """Run cells of tables where open claims can be decided, one table after another, and report the tables.

    Args:
        experiments: all that params.yaml declares.
        targets: names of tables.
        hours: of the clock for all together.
        places: where the cells run.

    Raises:
        BenchError: a target is no table; or, at the end, cells failed.
    """
    tables, failures = [experiments.table(target) for target in targets], list[Failure]()
    deadline = time.monotonic() + 3600 * hours
    for experiment in tables:
        failures += decide(experiments, experiment.name, (deadline - time.monotonic()) / 3600, places)
        show_table(experiment)
    report_failures(failures)


def describe_open(experiment: Experiment) -> list[str]:
    """Write a line for each open claim of a table: what it takes to decide it."""
    claims = list(open_claims(table_results(experiment)))
    seconds = seconds_of(experiment, claims)
    return [_described(claim, seconds) for claim in claims]


def decide(experiments: Experiments, table: str, hours: float, places: Places) -> list[Failure]:
    """Run cells of a table until all claims are decided, hopeless, or the time is over; returns the cells that failed.

    Args:
        experiments: all that params.yaml declares.
        table: name of the table.
        hours: of the clock, from now on; a cell is begun only if it is expected to end within them.
        places: where the cells run.
    """
    experiment, deadline = experiments.table(table), time.monotonic() + 3600 * hours
    places, failures, tried = chosen(experiments.params.machine, places), list[Failure](), set[str]()
    jobs = places.jobs or 1 if places.executor == LOCAL else width(places.executor) or _MANY
    while True:
        left = deadline - time.monotonic()
        claims = list(open_claims(table_results(experiment)))
        seconds = seconds_of(experiment, claims)
        order = cheapest(claims, seconds, left, jobs, tried)
        if not order:
            break
        print(_described(order[0], seconds), flush=True)
        cells = filled([claim.cells for claim in order], jobs, seconds, left)
        if _total(order[0].cells, seconds) is None:
            cells = cells[:jobs]  # these tell the time
        prepare_missing(experiments, cells)
        failures += search_cells(experiments, [table], cells, places)
        tried |= {cell.id for cell in cells}
    for line in state_of(experiment, claims, seconds, left, jobs, tried):
        print(line, flush=True)
    return failures


def cheapest(
    claims: Sequence[OpenClaim], seconds: Times, left: float, jobs: int, tried: Set[str] = frozenset()
) -> list[OpenClaim]:
    """Order the claims that more seeds would decide by what it takes to decide them, the cheapest first.

    What comes of that is the next look of the first; after it, all are ordered anew.

    Args:
        claims: open ones.
        seconds: of each cell, by its id; None where it is not known, which is tried first.
        left: seconds of the clock.
        jobs: cells at a time.
        tried: ids of cells that this run has tried; a claim that still lacks one waits for another run.
    """
    fitting = [
        claim
        for claim in claims
        if claim.cells and claim.decided_at is not None and left > 0 and _clock(claim.cells, seconds, jobs) <= left
        and not tried & {cell.id for cell in claim.cells}
    ]  # fmt: skip
    return sorted(fitting, key=lambda claim: _total(claim.to_decide, seconds) or 0.0)


def filled(cells: Sequence[Sequence[Cell]], jobs: int, seconds: Times, left: float) -> list[Cell]:
    """Take the cells of the first claim, and of those after it as many as keep all jobs busy to the end.

    Args:
        cells: that each claim needs, in the order of the claims.
        jobs: at a time.
        seconds: of each cell, by its id.
        left: seconds of the clock; what takes longer is not added.
    """
    first, *others = cells
    taken, too_long = {cell.id: cell for cell in first}, set[str]()
    for cell in (cell for those in others for cell in those):
        if len(taken) % jobs == 0:
            break
        lacks_ticket = cell.source.parent is not None and cell.source.parent.id in too_long
        if lacks_ticket or _clock([*(taken | {cell.id: cell}).values()], seconds, jobs) > left:
            too_long.add(cell.id)
        else:
            taken[cell.id] = cell
    return list(taken.values())


def state_of(
    experiment: Experiment, claims: Sequence[OpenClaim], seconds: Times, left: float, jobs: int, tried: Set[str]
) -> list[str]:
    """Say why no more seeds are run: a line for each open claim."""
    if not claims:
        decided = "all claims that are tests are decided"
        return [decided if experiment.table.claims else f"{experiment.name} has no claims to decide"]
    lines = []
    for claim in claims:
        late = claim.decided_at is not None and claim.cells and _clock(claim.cells, seconds, jobs) > left
        line = _described(claim, seconds)
        if tried & {cell.id for cell in claim.cells}:
            line += "; a cell of it was tried and has no result"
        lines.append(line + ("; the hours do not suffice" if late else ""))
    return lines


def seconds_of(experiment: Experiment, claims: Sequence[OpenClaim]) -> Times:
    """Estimate the seconds of each cell that open claims need, by what ran of the table; None if nothing like it did."""
    cells = {cell.id: cell for claim in claims for cell in claim.to_decide}
    planned = plan([*begun(experiment).cells, *cells.values()])
    return {entry.cell.id: entry.seconds for entry in planned}


def _described(claim: OpenClaim, seconds: Times) -> str:
    return describe(claim, _total(claim.cells, seconds), _total(claim.to_decide, seconds))


def _total(cells: Sequence[Cell], seconds: Times) -> float | None:
    """Add up the seconds of cells; None where one is not known."""
    known = [value for cell in cells if (value := seconds[cell.id]) is not None]
    return sum(known) if len(known) == len(cells) else None


def _clock(cells: Sequence[Cell], seconds: Times, jobs: int) -> float:
    """Estimate the seconds of the clock that cells take, as far as known: no cell is shared out among jobs."""
    known = [value for cell in cells if (value := seconds[cell.id]) is not None]
    return max([sum(known) / jobs, *known])
