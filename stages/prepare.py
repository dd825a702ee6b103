"""prepare DATASET: raw images -> data/DATASET/*.beton and manifest.json."""

import sys

from slt_bench.cli import load, prepare_dataset
from slt_bench.errors import run_command

if __name__ == "__main__":
    run_command(lambda: prepare_dataset(load(), sys.argv[1]))
