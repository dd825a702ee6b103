"""report TABLE: metrics of its cells -> outputs/tables/TABLE, and MLflow brought up to date."""

import sys

from slt_bench.common.errors import run_command
from slt_bench.run.tasks import load, report_table, track_table


def main() -> None:
    """Write the table, which the target of its name shows, then MLflow's view of it."""
    params = load()
    report_table(params, sys.argv[1])
    track_table(params, sys.argv[1])


if __name__ == "__main__":
    run_command(main)
