"""plan: params.yaml and the code -> outputs/plan.json, by which DVC sees which tables a change concerns.

Digests say what each stage depends on: for a dataset the code that prepares it, for the cells of a table their identities and
the code that a cell runs, for its report the table and the code that writes it.
"""

from __future__ import annotations

import json
import os

from slt_bench.common import paths
from slt_bench.common.errors import run_command
from slt_bench.common.files import write_text
from slt_bench.common.text import digest
from slt_bench.experiment.experiments import Experiment, Experiments
from slt_bench.records.code_digest import OF_A_CELL, code_digest
from slt_bench.records.leftovers import leftovers
from slt_bench.records.shared import set_tables_aside
from slt_bench.run.announce import announcement
from slt_bench.run.targets import ANNOUNCED
from slt_bench.run.tasks import load

ENTRIES = {  # the functions that each stage calls
    "prepare": ["slt_bench.data.prepare:prepare"],
    "search": list(OF_A_CELL),
    "table": ["slt_bench.run.tasks:report_table", "slt_bench.run.tasks:track_table"],
}


def plan_of(experiments: Experiments) -> dict[str, dict[str, str]]:
    """Compute what each stage depends on: stage -> dataset or table -> digest."""
    codes = {stage: code_digest(*functions) for stage, functions in ENTRIES.items()}
    tables = experiments.tables.values()
    return {
        "prepare": dict.fromkeys(experiments.params.datasets, codes["prepare"]),
        "search": {each.name: digest([codes["search"], _cells(each)]) for each in tables},
        "table": {each.name: digest([codes["table"], _table(each)]) for each in tables},
    }


def _cells(experiment: Experiment) -> dict[str, str]:
    return {cell.id: cell.identity for cell in experiment.cells}


def _table(experiment: Experiment) -> list[object]:
    full = experiment.full_size
    return [experiment.table.model_dump(mode="json"), experiment.replaced, _table(full) if full else None]


def main() -> None:
    """Write the plan, and say what is asked for before anything runs."""
    experiments = load()
    for line in leftovers():
        print(f"note: {line}")
    for place in set_tables_aside(experiments.tables):
        print(f"note: no table declares what lies in {place} now")
    write_text(paths.PLAN, json.dumps(plan_of(experiments), indent=1) + "\n")
    if ANNOUNCED in os.environ:  # by `slt-bench run`, of what it was asked for
        return
    print(f"of all {len(experiments.tables)} tables", *announcement(experiments, experiments.cells().values()), sep="\n  ")


if __name__ == "__main__":
    run_command(main)
