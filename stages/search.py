"""search GROUP CELL: data -> tickets, history and record in outputs/cells/CELL."""

import sys

from slt_bench.errors import run_command
from slt_bench.steps import load, search_cell
from stages.plan import planned_cell

if __name__ == "__main__":
    run_command(lambda: search_cell(load(), planned_cell(*sys.argv[1:])))
