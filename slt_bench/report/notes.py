"""What a reader must know of a table: how it was made, on what, and what is left out of it."""

from __future__ import annotations

import json
from collections import Counter

from slt_bench.common.text import grouped
from slt_bench.experiment.experiments import Experiment
from slt_bench.records.result import Result
from slt_bench.report.lines import Line
from slt_bench.report.statistics import UNKNOWN


def warnings(experiment: Experiment, content: list[Line]) -> list[str]:
    """What must be said above a table: that its budget is small, and which of its cells are left out or stale, and why."""
    full, small = experiment.full_size, list[str]()
    if full is not None:
        small = [f"SMALL BUDGET: {experiment.replaced}. Published values are of {full.name} and no measure of these."]
    return [*small, *_left_out(content), *_stale(experiment.name, content)]


def _left_out(content: list[Line]) -> list[str]:
    absent = list({each.cell.id: (line, each) for line in content for each in line.absent}.values())
    if not absent:
        return []
    cells = len({cell.id for line in content for cell in line.cells})
    diverged = [
        f"{', '.join(line.reads)}, seed {each.cell.seed}: {each.reason}" for line, each in absent if each.kind == "diverged"
    ]
    counts = Counter(str(each) for _, each in absent if each.kind != "diverged")
    parts = [f"{count} {_verb(why, count)}" for why, count in counts.items()]
    parts += [f"{len(diverged)} diverged ({'; '.join(diverged)})"] if diverged else []
    return [f"LEFT OUT: {len(absent)} of {cells} cells: {'; '.join(parts)}."]


def _verb(why: str, count: int) -> str:
    """What is said of one cell, said of several."""
    first, _, rest = why.partition(" ")
    return why if count == 1 else f"{ {'has': 'have', 'is': 'are'}.get(first, first) } {rest}"


def _stale(table: str, content: list[Line]) -> list[str]:
    stale = {result.cell.id for line in content for result in line.results if result.stale}
    cells = len({cell.id for line in content for cell in line.cells})
    again = f"`slt-bench run {table}` makes them anew"
    return [f"STALE: {len(stale)} of {cells} cells were made with other code than today's; {again}."] if stale else []


def notes(experiment: Experiment, content: list[Line]) -> list[str]:
    """What a reader must know of a table, a paragraph each."""
    results = [result for line in content for result in line.results]
    parts = [experiment.table.note] if experiment.table.note else []
    parts.append(
        f"Test accuracy of the {_reported(content)}, read once from the ticket file: mean ± sample "
        "standard deviation over n seeds. Sparsity counts all weights, frozen ones included. — is unknown; † marks a "
        "published value from a secondary source. Sizes in bytes: the ticket file, the same with its mask entropy-coded, the "
        "paper's formula."
    )
    if any(line.cell.search.kind == "weight-training" for line in content):
        parts.append("Weight training is the baseline: its file holds the trained weights.")
    parts += _data(content)
    codes = {f"{result.record['code']} ({result.record['commit']})" for result in results}
    if len(codes) > 1:
        parts.append(f"Made by {len(codes)} versions of the code that a cell runs: {', '.join(sorted(codes))}.")
    return parts + _machines(results)


def trained_on(line: Line) -> str:
    """Number of the images that a line was trained on."""
    if not line.results:
        return UNKNOWN
    images = line.results[0].record["data"]["images"]
    return f"{images['train'] + (0 if line.validated else images['val']):,}"


def _data(content: list[Line]) -> list[str]:
    """Of each dataset: where its images are from, how many each line was trained on, and how they are stored."""
    parts = []
    for dataset, members in grouped((line for line in content if line.results), lambda line: line.cell.dataset_name).items():
        data = [result.record["data"] for line in members for result in line.results]
        origins = " / ".join(sorted({each["origin"] for each in data}))
        train, val, test = (data[0]["images"][split] for split in ("train", "val", "test"))
        validated, whole = (_labels(members, chosen) for chosen in (True, False))
        shares = [f"{train:,} train, {val:,} validation"] if validated else []
        shares += [f"{train:,} + {val:,} train"] if whole else []
        if validated and whole:
            shares = [f"{shares[0]} ({validated})", f"{shares[1]} ({whole})"]
        stored = "; ".join(sorted({each["stored"] for each in data if "stored" in each}))
        parts.append(f"Data {dataset}: {origins}; {'; '.join(shares)}; {test:,} test images{f'; {stored}' if stored else ''}.")
    return parts


def _labels(lines: list[Line], validated: bool) -> str:
    return ", ".join(dict.fromkeys(line.label for line in lines if line.validated == validated))


def _machines(results: list[Result]) -> list[str]:
    made = [(result.record["environment"], result.record["precision"]) for result in results]
    parts = []
    for machine, precision in {json.dumps(each): each for each in made}.values():
        libraries = ", ".join(f"{name} {number}" for name, number in machine["libraries"].items() if number)
        parts.append(
            f"Made with {libraries} on {machine['gpu'] or machine['cpu']}, {machine['cores']} cores, "
            f"{machine.get('threads', '?')} threads a process, in {precision}."
        )
    return parts


def _reported(content: list[Line]) -> str:
    """How the epoch was chosen."""
    best, last = "best validation epoch at the final sparsity", "last epoch, with all training images trained on"
    validated = {line.validated for line in content}
    return best if validated == {True} else last if validated == {False} else f"{best} (where there is no validation: {last})"
