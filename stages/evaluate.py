"""evaluate GROUP CELL: tickets and test images -> metrics in outputs/cells/CELL."""

import sys

from slt_bench.errors import run_command
from slt_bench.steps import evaluate_cell, load
from stages.plan import planned_cell

if __name__ == "__main__":
    run_command(lambda: evaluate_cell(load(), planned_cell(*sys.argv[1:])))
