"""The stage `plan`: params.yaml and the code -> outputs/plan.json, by which DVC sees which tables a change concerns.

Each entry is a digest of what a stage depends on: `prepare` on the code that prepares a dataset, `search` on the identities of
a table's cells and the code that cells run, `table` on the table and the code that reports it.
"""

from __future__ import annotations

import json
import os

from slt_bench.common import paths
from slt_bench.common.errors import run_command
from slt_bench.common.files import write_text
from slt_bench.common.text import digest
from slt_bench.experiment.experiments import Experiment, Experiments
from slt_bench.experiment.load import load_experiments
from slt_bench.records.code_digest import cell_code, code_digest
from slt_bench.records.leftovers import leftovers
from slt_bench.records.shared import set_tables_aside
from slt_bench.run.tables.announce import announcement
from slt_bench.run.tables.dvc import ANNOUNCED
from slt_bench.run.tables.plan import plan

ENTRIES = {  # the functions that these stages call; what cells run depends on the cell
    "prepare": ["slt_bench.data.prepare:prepare"],
    "table": ["slt_bench.run.tables.reports:show_table"],
}


def plan_of(experiments: Experiments) -> dict[str, dict[str, str]]:
    """Compute the digest of what each stage depends on: stage -> dataset or table -> digest."""
    codes = {stage: code_digest(*functions) for stage, functions in ENTRIES.items()}
    tables = experiments.tables.values()
    return {
        "prepare": dict.fromkeys(experiments.params.datasets, codes["prepare"]),
        "search": {table.name: digest([sorted({cell_code(cell) for cell in table.cells}), _cells(table)]) for table in tables},
        "table": {table.name: digest([codes["table"], _table(table)]) for table in tables},
    }


def _cells(experiment: Experiment) -> dict[str, str]:
    return {cell.id: cell.identity for cell in experiment.cells}


def _table(experiment: Experiment) -> list[object]:
    full = experiment.full_size
    shown = sorted({(cell.search_name, cell.search.label, cell.search.colour) for cell in experiment.cells})
    return [experiment.table.model_dump(mode="json"), experiment.replaced, shown, _table(full) if full else None]


def main() -> None:
    """Write the plan, and announce what is left to run."""
    experiments = load_experiments()
    for line in leftovers():
        print(f"note: {line}")
    for directory in set_tables_aside(experiments.tables):
        print(f"note: no table declares what lies in {directory} now")
    write_text(paths.PLAN, json.dumps(plan_of(experiments), indent=1) + "\n")
    if ANNOUNCED in os.environ:  # `slt-bench run` has announced its own targets
        return
    planned = plan([cell for experiment in experiments.tables.values() for cell in experiment.cells])
    print(f"of all {len(experiments.tables)} tables", *announcement(experiments, planned), sep="\n  ")


if __name__ == "__main__":
    run_command(main)
