"""The warnings above a table and the notes below it: how it was made, on what, and which cells are left out."""

from __future__ import annotations

import json
from collections import Counter

from slt_bench.common.text import grouped
from slt_bench.experiment.experiments import Experiment
from slt_bench.records.result import Result
from slt_bench.report.lines import Line, shown_cells, shown_results
from slt_bench.report.verdicts.statistics import UNKNOWN

_COLUMNS = (
    "read once from the ticket file: mean ± sample standard deviation over n seeds. Sparsity counts all weights, frozen ones "
    "included. — is unknown; † marks a published value from a secondary source. Sizes in bytes: the ticket file, the same "
    "with its mask entropy-coded, the paper's formula. The time of an epoch is of cells made on machines of one kind."
)


def table_warnings(experiment: Experiment, lines: list[Line]) -> list[str]:
    """Write the warnings above a table: a small budget, cells that are left out or stale, numbers of several formats."""
    full = experiment.full_size
    small = experiment.replaced or "other seeds"
    budget = f"SMALL BUDGET: {small}. Published values are of {full.name} and no measure of these." if full else ""
    return [warning for warning in (budget, _left_out(lines), _stale(experiment.name, lines), _formats(lines)) if warning]


def _left_out(lines: list[Line]) -> str:
    absent = list({outcome.cell.id: (line, outcome) for line in lines for outcome in line.absent}.values())
    if not absent:
        return ""
    diverged = [f"{', '.join(line.columns)}, seed {outcome.cell.seed}: {outcome.reason}"
                for line, outcome in absent if outcome.kind == "diverged"]  # fmt: skip
    counts = Counter(str(outcome) for _, outcome in absent if outcome.kind != "diverged")
    parts = [f"{count} {_in_number(reason, count)}" for reason, count in counts.items()]
    parts += [f"{len(diverged)} diverged ({'; '.join(diverged)})"] if diverged else []
    return f"LEFT OUT: {len(absent)} of {len(shown_cells(lines))} cells: {'; '.join(parts)}."


def _in_number(reason: str, count: int) -> str:
    """Put a reason that is written for one cell into the plural where it is of several."""
    verb, _, rest = reason.partition(" ")
    return reason if count == 1 else f"{ {'has': 'have', 'is': 'are'}.get(verb, verb) } {rest}"


def _stale(table: str, lines: list[Line]) -> str:
    stale = [result for result in shown_results(lines) if result.stale]
    again = f"`slt-bench run {table}` makes them anew"
    cells = len(shown_cells(lines))
    return f"STALE: {len(stale)} of {cells} cells were made with other code than today's; {again}." if stale else ""


def _formats(lines: list[Line]) -> str:
    """Say so where machines realised one precision in several ways, as a CPU computes float32 where TF32 is declared."""
    formats = Counter(result.record["precision"] for result in shown_results(lines))
    counts = ", ".join(f"{count} in {name}" for name, count in sorted(formats.items()))
    return (
        f"UNLIKE NUMBERS: of {len(shown_cells(lines))} cells {counts}: differences are of that too." if len(formats) > 1 else ""
    )


def table_notes(experiment: Experiment, lines: list[Line]) -> list[str]:
    """Write the notes below a table, a paragraph each: columns, data, versions of the code, machines."""
    results = shown_results(lines)
    notes = [experiment.table.note] if experiment.table.note else []
    notes.append(f"Test accuracy of the {_reported_epoch(lines)}, {_COLUMNS}")
    if any(line.cell.search.learns == "weights" for line in lines):
        notes.append("Weight training is the baseline: its file holds the trained weights.")
    notes += [_data(lines)] if results else []
    return [*notes, *_versions(results), *_machines(results), *_not_of_equal_bits(results)]


def _versions(results: list[Result]) -> list[str]:
    """Say so where cells of one kind of search were made by several versions of the code that they run."""
    versions = {
        (result.record["code"], result.record["commit"])
        for kind in grouped(results, lambda result: result.cell.code).values()
        if len({result.record["code"] for result in kind}) > 1
        for result in kind
    }
    names = ", ".join(f"{code} ({commit})" for code, commit in sorted(versions))
    return [f"Made by several versions of the code that a cell runs: {names}."] if versions else []


def training_images(line: Line) -> str:
    """Write the number of images that a line was trained on."""
    if not line.results:
        return UNKNOWN
    images = line.results[0].record["data"]["images"]
    return f"{images['train'] + (0 if line.is_validated else images['val']):,}"


def _data(lines: list[Line]) -> str:
    """Describe the table's dataset: origin of its images, number that each line was trained on, and their storage."""
    lines = [line for line in lines if line.results]
    records = [result.record["data"] for line in lines for result in line.results]
    origins = " / ".join(sorted({record["origin"] for record in records}))
    train, val, test = (records[0]["images"][split] for split in ("train", "val", "test"))
    validated, whole = (_labels(lines, is_validated) for is_validated in (True, False))
    shares = [f"{train:,} train, {val:,} validation"] if validated else []
    shares += [f"{train:,} + {val:,} train"] if whole else []
    if validated and whole:
        shares = [f"{shares[0]} ({validated})", f"{shares[1]} ({whole})"]
    stored = "; ".join(sorted({record["stored"] for record in records if "stored" in record}))
    ending = f"; {stored}" if stored else ""
    return f"Data {lines[0].cell.dataset_name}: {origins}; {'; '.join(shares)}; {test:,} test images{ending}."


def _labels(lines: list[Line], is_validated: bool) -> str:
    return ", ".join(dict.fromkeys(line.label for line in lines if line.is_validated == is_validated))


def _machines(results: list[Result]) -> list[str]:
    environments = [(result.record["environment"], result.record["precision"]) for result in results]
    notes = []
    for machine, precision in {json.dumps(environment): environment for environment in environments}.values():
        libraries = ", ".join(f"{name} {number}" for name, number in machine["libraries"].items() if number)
        notes.append(
            f"Made with {libraries} on {machine['gpu'] or machine['cpu']}, {machine['cores']} cores, "
            f"{_threads(machine.get('threads'))}, in {precision}."
        )
    return notes


def _not_of_equal_bits(results: list[Result]) -> list[str]:
    """Say so where another run may give other bits: operations without a kernel for that, and devices that took turns."""
    notes = [
        f"{len(those)} of {len(results)} cells used operations whose bits may differ from run to run: {operations}."
        for operations, those in grouped(results, lambda result: str(result.record.get("nondeterministic", ""))).items()
        if operations
    ]
    devices = [{session.get("device") for session in result.record.get("sessions", ())} - {None} for result in results]
    if moved := sum(len(those) > 1 for those in devices):
        notes.append(f"{moved} of {len(results)} cells changed the device on the way.")
    return notes


def _threads(count: int | None) -> str:
    return f"{'?' if count is None else count} thread{'' if count == 1 else 's'} a process"


def _reported_epoch(lines: list[Line]) -> str:
    """Say how the reported epoch was chosen."""
    best, last = "best validation epoch at the final sparsity", "last epoch, with all training images trained on"
    validated = {line.is_validated for line in lines}
    return best if validated == {True} else last if validated == {False} else f"{best} (where there is no validation: {last})"
