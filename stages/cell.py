"""cell GROUP CELL: data -> tickets, history, record and test metrics in outputs/cells/CELL."""

import sys

from slt_bench.common.errors import run_command
from slt_bench.run.tasks import load, run_cell
from stages.plan import planned_cell


def main() -> None:
    """Run it."""
    params = load()
    run_cell(params, planned_cell(params, *sys.argv[1:]))


if __name__ == "__main__":
    run_command(main)
