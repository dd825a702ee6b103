"""The stage `prepare@DATASET`: raw images -> data/DATASET/*.beton and manifest.json."""

import sys

from slt_bench.common.errors import run_command
from slt_bench.experiment.load import load_experiments
from slt_bench.run.datasets import prepare_dataset

if __name__ == "__main__":
    run_command(lambda: prepare_dataset(load_experiments(), sys.argv[1]))
