"""The stage `search@TABLE`: prepared images -> the results of the table's cells in outputs/cells/TABLE."""

import sys

from slt_bench.common.errors import run_command
from slt_bench.experiment.load import load_experiments
from slt_bench.run.tables.targets import search_table

if __name__ == "__main__":
    run_command(lambda: search_table(load_experiments(), sys.argv[1]))
