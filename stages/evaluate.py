"""evaluate TABLE CELL: tickets and test images -> metrics in outputs/cells/CELL."""

import sys
from pathlib import Path

from slt_bench.cli import cell_from_json, evaluate_cell
from slt_bench.errors import run_command

if __name__ == "__main__":
    table, cell = sys.argv[1:]
    run_command(lambda: evaluate_cell(cell_from_json(Path("pipelines") / table / "cells.json", cell)))
