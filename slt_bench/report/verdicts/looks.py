"""Looks: the seeds with which a claim is tested, in an order and in numbers that are fixed before anything has run.

The order is that of the table's seeds, then those after its largest. A look of size m takes the first m seeds of it whose
cells have not diverged, and is not taken before all of them have run: which seeds are tested never depends on what they gave.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from slt_bench.common.text import grouped
from slt_bench.params.claims import Claim
from slt_bench.params.tables import Table
from slt_bench.records.result import Result
from slt_bench.report.lines import Line


@dataclass(frozen=True)
class Looks:
    """The seeds of two lines that a claim compares."""

    usable: list[int]  # in the order in which they are looked at, whether they have run or not
    sizes: list[int]  # numbers of them at which the claim is looked at, as far as there are so many
    values: dict[int, tuple[float, float]]  # of both lines, by seed
    lost: dict[int, list[str]]  # seeds that can give no value, with the reasons

    @property
    def taken(self) -> list[list[int]]:
        """The seeds of each look whose cells have all run."""
        return [self.usable[:size] for size in self.sizes if all(seed in self.values for seed in self.usable[:size])]

    @property
    def done(self) -> list[int]:
        """The usable seeds that have run, whether a look takes them already or not."""
        return [seed for seed in self.usable if seed in self.values]


def looks_at(table: Table, claim: Claim, of: Line, over: Line) -> Looks:
    """Find out with which seeds a claim is tested on two lines.

    Rows that name their own seeds, or whose cells need another one's ticket, have no further seeds to look at.
    """
    sides = [_values(claim, line) for line in (of, over)]
    declared = [table.seeds_of(line.row) for line in (of, over)]
    own = [seed for seed in declared[0] if seed in declared[1]]
    sizes = claim.sizes_of_looks(len(own))
    has_more = len(sizes) > 1 and not any(table.rows[line.row].seeds or line.cell.source.parent for line in (of, over))
    order = table.seed_order(claim.most_seeds(len(own))) if has_more else own
    lost = {seed: reasons for seed in order if (reasons := _never(claim, of, over, sides, seed))}
    usable = [seed for seed in order if seed not in lost]
    sizes = [size for size in sizes if size <= len(usable)] if has_more else [len(usable)]
    values = {seed: (sides[0][seed], sides[1][seed]) for seed in usable if all(seed in side for side in sides)}
    return Looks(usable, sizes, values, lost)


def missing_from(looks: Looks, table: Table, of: Line, over: Line, tested: Sequence[int]) -> list[str]:
    """Say which seeds are not in a test, and why: those that were to be in it, and those that it does not take yet.

    Args:
        looks: of the two lines.
        table: theirs.
        of: the first line.
        over: the second line.
        tested: the seeds in the test.
    """
    wanted = looks.usable[: max(len(tested), looks.sizes[0] if looks.sizes else 0)]
    reasons = [(seed, reason) for seed, those in looks.lost.items() for reason in those]
    reasons += [(seed, reason) for seed in wanted if seed not in looks.values for reason in _not_yet(of, over, seed)]
    for line, other in ((of, over), (over, of)):
        declared = table.seeds_of(line.row)
        extra = [seed for seed in table.seeds_of(other.row) if seed not in declared]
        reasons += [(seed, f"{line.label}: is not declared") for seed in extra]
    told = [f"seed{'s' if len(same) > 1 else ''} {', '.join(str(seed) for seed, _ in same)} ({reason})"
            for reason, same in grouped(sorted(set(reasons)), lambda pair: pair[1]).items()]  # fmt: skip
    if later := [seed for seed in looks.done if seed not in tested]:
        told.append(f"seed{'s' if len(later) > 1 else ''} {', '.join(map(str, later))} (of no look, or of a later one)")
    return told


def _never(claim: Claim, of: Line, over: Line, sides: Sequence[dict[int, float]], seed: int) -> list[str]:
    """Say why a seed can give no value: a cell diverged, its result lacks the metric, or times are of unlike machines."""
    reasons = []
    for line, values in zip((of, over), sides, strict=True):
        reasons += [f"{line.label}: {one}" for one in line.absent if one.cell.seed == seed and one.kind == "diverged"]
        if seed not in values and any(result.cell.seed == seed for result in line.results):
            reasons.append(f"{line.label}: has no {claim.metric}")
    machines = {result.machine for line in (of, over) for result in line.results if result.cell.seed == seed}
    if claim.metric == "epoch_seconds" and len(machines) > 1:
        reasons.append(f"on unlike machines: {' and '.join(sorted(machines))}")
    return reasons


def _not_yet(of: Line, over: Line, seed: int) -> list[str]:
    """Say which of two lines has no result for a seed."""
    reasons = []
    for line in (of, over):
        if all(result.cell.seed != seed for result in line.results):
            outcome = next((str(one) for one in line.absent if one.cell.seed == seed), "has not run yet")
            reasons.append(f"{line.label}: {outcome}")
    return reasons


def _values(claim: Claim, line: Line) -> dict[int, float]:
    return {result.cell.seed: value for result in line.results if (value := _value(claim, result)) is not None}


def _value(claim: Claim, result: Result) -> float | None:
    """Look up the claim's metric; None where there is none: trained weights have no mask, 0 bytes have no ratio."""
    if claim.metric == "epoch_seconds":
        return result.epoch_seconds
    value = (result.record if claim.metric == "dying_edge_ratio" else result.metrics).get(claim.metric)
    return None if value is None or (claim.compare == "ratio" and not value) else float(value)
