"""The stage `table@TABLE`: results of the table's cells -> outputs/tables/TABLE, and MLflow brought up to date."""

import sys

from slt_bench.common.errors import run_command
from slt_bench.experiment.load import load_experiments
from slt_bench.run.tables.reports import show_table

if __name__ == "__main__":
    run_command(lambda: show_table(load_experiments().table(sys.argv[1])))
