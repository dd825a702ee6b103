"""search TABLE CELL: data -> tickets, history and record in outputs/cells/CELL."""

import sys
from pathlib import Path

from slt_bench.cli import cell_from_json, search_cell
from slt_bench.errors import run_command

if __name__ == "__main__":
    table, cell = sys.argv[1:]
    run_command(lambda: search_cell(table, cell_from_json(Path("pipelines") / table / "cells.json", cell)))
