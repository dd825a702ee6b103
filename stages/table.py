"""The stage `table@TABLE`: results of the table's cells -> outputs/tables/TABLE, and MLflow brought up to date."""

import sys

from slt_bench.common.errors import run_command
from slt_bench.run.tasks import load, show_table

if __name__ == "__main__":
    run_command(lambda: show_table(load().table(sys.argv[1])))
