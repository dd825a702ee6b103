"""What is asked for, said before anything runs: cells that are left, hours as far as known, images that are not there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from slt_bench.common.errors import BenchError
from slt_bench.common.text import duration
from slt_bench.experiment.cell import Cell
from slt_bench.experiment.experiments import Experiment, Experiments
from slt_bench.records.standing import prepared_images
from slt_bench.run.plan import Planned, plan


def announcement(experiments: Experiments, cells: Iterable[Cell], jobs: int = 1) -> list[str]:
    """Say what is left of these cells, how long that takes, and which images are missing; a line each.

    Args:
        experiments: for the tables that missing images keep from being made.
        cells: what is asked for, each once.
        jobs: cells that run at a time.
    """
    asked = list(cells)
    planned = plan(asked)
    left = [each for each in planned if each.is_left]
    if not left:
        return [f"all {len(asked):,} cells have their results"]
    seconds = [each.seconds for each in left if each.seconds is not None]
    lines = [f"{len(left):,} of {len(asked):,} cells are left{_hours(sum(seconds) / jobs, len(seconds), len(left))}"]
    return lines + missing_images(experiments, [each.cell for each in left])


def told_table(experiment: Experiment, planned: Sequence[Planned]) -> str:
    """Say in a line how much of a table is done."""
    left = [each for each in planned if each.is_left]
    seconds = [each.seconds for each in left if each.seconds is not None]
    rest = f"; {len(left)} left{_hours(sum(seconds), len(seconds), len(left))}" if left else ""
    return f"{experiment.name}: {len(planned) - len(left)} of {len(planned)} cells done{rest}"


def told_cell(each: Planned) -> str:
    """Say in a line where a cell stands, and how long it took or will take."""
    took = duration(each.seconds) if each.seconds is not None else "?"
    about = "about" if each.is_left else "took"
    why = f"  ({each.standing.reason})" if each.standing.reason else ""
    return f"{each.standing.kind:<9}{each.cell.id:<72} {each.cell.identity}  {about} {took}{why}"


def _hours(seconds: float, known: int, left: int) -> str:
    if not known:
        return "; how long that takes is not known yet"
    rest = f", and {left - known:,} whose time is not known" if known < left else ""
    return f"; about {duration(seconds)} for {known:,} of them{rest}" if rest else f"; about {duration(seconds)}"


def missing_images(experiments: Experiments, cells: Iterable[Cell]) -> list[str]:
    """Say which datasets of these cells are neither prepared nor to be had, and what cannot be made without them."""
    found, lines = list(cells), []
    for name, digest in prepared_images(found).items():
        if digest is None:
            try:
                check_images(experiments, name)
            except BenchError as fault:
                lines.append(str(fault))
    return lines


def check_images(experiments: Experiments, dataset: str) -> None:
    """Check that the images of a dataset are to be had, before anything is read or searched.

    Raises:
        BenchError: they are not; the variable that names them, the tables that need them, and how to make the others.
    """
    from slt_bench.data.sources.registry import check_named

    tables = [name for name, experiment in experiments.tables.items() if experiment.table.dataset == dataset]
    try:
        check_named(experiments.params.datasets[dataset].images)
    except BenchError as fault:
        without = f" (without them no table {', '.join(tables)}; `dvc repro -k` makes the others)" if tables else ""
        raise BenchError(f"dataset {dataset}: {fault}{without}") from None
