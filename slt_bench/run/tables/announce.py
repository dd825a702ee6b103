"""The announcement of a run, before anything runs: the cells that are left, the hours as far as known, missing images."""

from __future__ import annotations

from collections.abc import Sequence

from slt_bench.common.text import duration
from slt_bench.experiment.experiments import Experiment, Experiments
from slt_bench.run.datasets import missing_images
from slt_bench.run.tables.plan import Planned


def announcement(experiments: Experiments, planned: Sequence[Planned], jobs: int = 1) -> list[str]:
    """Describe, a line each, how many of these cells are left, how long they take, and which images are missing.

    Args:
        experiments: the datasets, and the tables that need them.
        planned: the requested cells; one that several tables have counts once, and is done if one of them has its result.
        jobs: cells that run at a time, 1 or more.
    """
    by_id: dict[str, Planned] = {}
    for entry in planned:
        if entry.cell.id not in by_id or not entry.is_left:
            by_id[entry.cell.id] = entry
    left = [entry for entry in by_id.values() if entry.is_left]
    if not left:
        return [f"all {len(by_id):,} cells have their results"]
    lines = [f"{len(left):,} of {len(by_id):,} cells are left{_time_of(left, jobs)}"]
    if count := sum(entry.standing.lacks_tickets for entry in left):
        lines.append(f"{count:,} of these have results without their tickets, which `--decide` goes on from")
    return [*lines, *missing_images(experiments, [entry.cell for entry in left])]


def table_summary(experiment: Experiment, planned: Sequence[Planned]) -> str:
    """Describe in a line how much of a table is done; `planned` are all its cells."""
    left = [entry for entry in planned if entry.is_left]
    rest = f"; {len(left)} left{_time_of(left)}" if left else ""
    if running := sum(entry.is_running for entry in left):
        rest += f"; {running} running"
    return f"{experiment.name}: {len(planned) - len(left)} of {len(planned)} cells done{rest}"


def cell_summary(planned: Planned) -> str:
    """Describe in a line where a cell stands, and how long it took or will take."""
    cell, standing = planned.cell, planned.standing
    seconds = duration(planned.seconds) if planned.seconds is not None else "?"
    time = f"{'about' if planned.is_left else 'took'} {seconds}"
    reason = f"  ({standing.reason})" if standing.reason else ""
    kind = "running" if planned.is_running else standing.kind
    return f"{kind:<9}{cell.id:<72} {cell.identity}  {time}{reason}"


def _time_of(left: Sequence[Planned], jobs: int = 1) -> str:
    """Describe how long cells take, as far as it is known."""
    known = [entry.seconds for entry in left if entry.seconds is not None]
    if not known:
        return "; how long that takes is not known yet"
    time = f"; about {duration(sum(known) / jobs)}"
    unknown = len(left) - len(known)
    return f"{time} for {len(known):,} of them, and {unknown:,} whose time is not known" if unknown else time
