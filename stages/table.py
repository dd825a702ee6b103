"""table TABLE: results of its cells -> outputs/tables/TABLE, and MLflow brought up to date."""

import sys

from slt_bench.common.errors import run_command
from slt_bench.run.tasks import load, report_table, track_table


def main() -> None:
    """Write the table, print it, and let MLflow show it."""
    experiment = load().table(sys.argv[1])
    print(report_table(experiment))
    track_table(experiment)


if __name__ == "__main__":
    run_command(main)
