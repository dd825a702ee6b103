"""Learning rates, tried at a table's own budget and compared by validation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from statistics import mean
from typing import Any

from slt_bench.common import paths
from slt_bench.common.errors import BenchError
from slt_bench.common.text import grouped
from slt_bench.experiment.cell import Cell
from slt_bench.experiment.experiments import Experiment, Experiments
from slt_bench.records.result import Absent, Result, read_outcomes
from slt_bench.run.datasets import prepare_missing
from slt_bench.run.many import Places, chosen
from slt_bench.run.tables.reports import track_results
from slt_bench.run.tables.targets import announce, report_failures, search_cells

_AT = "-at-"  # between the name of a recipe and a rate that is tried


def try_rates(experiments: Experiments, table: str, rates: Sequence[float], places: Places) -> None:
    """Search at several learning rates with the first seed, and print what each recipe's rates give in validation.

    Args:
        experiments: all that params.yaml declares.
        table: whose recipes are tried.
        rates: to try, above 0.
        places: where the cells run.

    Raises:
        BenchError: a recipe has no validation, or nothing is learned; or, at the end, cells failed.
    """
    tried = [(cell.recipe_name, at_rate(cell, rate)) for cell in first_of_recipes(experiments.table(table)) for rate in rates]
    cells = [cell for _, cell in tried]
    places = chosen(experiments.params.machine, places)
    announce(experiments, cells, places)
    prepare_missing(experiments, cells)
    failures = search_cells(experiments, (), cells, places)
    for line in compared(tried):
        print(line)
    found = read_outcomes(cells).values()
    track_results(cells[0].table, [outcome for outcome in found if isinstance(outcome, Result)])
    report_failures(failures, len(cells))


def first_of_recipes(experiment: Experiment) -> list[Cell]:
    """Choose what a table's recipes are tried with.

    That is of each recipe the first search of scores and the first of weights, at all sparsities, with their first seed.

    Raises:
        BenchError: a recipe trains on all images, so that none are left to choose by; or nothing is learned.
    """
    learn = [cell for cell in experiment.cells if cell.search.learns != "nothing" and cell.source.parent is None]
    found = []
    for those in grouped(learn, lambda cell: (cell.recipe_name, cell.network_name, cell.search.learns)).values():
        first = those[0]
        if first.recipe.train_on == "all":
            raise BenchError(f"recipe {first.recipe_name} trains on all images: none are held out to choose a rate by")
        alike = (first.search_name, first.source, first.seed)
        found += [cell for cell in those if (cell.search_name, cell.source, cell.seed) == alike]
    if not found:
        raise BenchError(f"table {experiment.name} learns nothing, so that no rate is better than another")
    return found


def at_rate(cell: Cell, rate: float) -> Cell:
    """Return a cell's twin with another learning rate, whose results lie beside those of the table."""
    changes: dict[str, Any] = {"table": paths.rates_table(cell.table)}
    if rate != cell.recipe.learning_rate:  # else it is the same cell, whose result serves both
        changes["recipe_name"] = f"{cell.recipe_name}{_AT}{_written(rate)}"
        changes["recipe"] = cell.recipe.model_copy(update={"learning_rate": rate})
    return cell.model_copy(update=changes)


def compared(tried: Sequence[tuple[str, Cell]]) -> list[str]:
    """Write a block for each recipe: validation accuracies by sparsity and rate, and the rate that is best on average.

    Args:
        tried: names of recipes, each with a twin of `at_rate`; those without a result are shown as unknown.
    """
    from slt_bench.report.rows import grid

    outcomes, lines = read_outcomes([cell for _, cell in tried]), list[str]()
    found = {name: float(each.record["best_val_top1"]) for name, each in outcomes.items() if isinstance(each, Result)}
    kinds = grouped(tried, lambda each: (each[0], each[1].network_name, each[1].search.label))
    for (recipe, network, label), twins in kinds.items():
        those = [cell for _, cell in twins]
        rows = [
            {"sparsity": f"{sparsity:g}"} | {_rate(recipe, cell): _shown(outcomes[cell.id], found) for cell in alike}
            for sparsity, alike in grouped(those, lambda cell: cell.sparsity).items()
        ]
        by_rate = grouped(those, partial(_rate, recipe))
        whole = [rate for rate, alike in by_rate.items() if all(cell.id in found for cell in alike)]
        means = {rate: mean(found[cell.id] for cell in by_rate[rate]) for rate in whole}
        of_whole = " of those that are whole" if len(whole) < len(by_rate) else ""
        best = f"best on average{of_whole}: {max(means, key=lambda rate: means[rate])}" if means else "no rate is whole yet"
        lines += [f"recipe {recipe}, {label}, {network}: validation top-1 (%) by learning rate; {best}", grid(rows), ""]
    return lines


def _rate(recipe: str, cell: Cell) -> str:
    return f"{_written(cell.recipe.learning_rate)}{' (now)' if cell.recipe_name == recipe else ''}"


def _written(rate: float) -> str:
    """Write a rate with all its digits, so that different ones are never taken for one: 0.1, 3, 1e-05."""
    return repr(rate).removesuffix(".0")


def _shown(outcome: Result | Absent, found: Mapping[str, float]) -> str:
    from slt_bench.report.verdicts.statistics import UNKNOWN

    if outcome.cell.id in found:
        return f"{found[outcome.cell.id]:.2f}"
    return "diverged" if isinstance(outcome, Absent) and outcome.kind == "diverged" else UNKNOWN
