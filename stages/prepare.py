"""prepare DATASET: raw images -> data/DATASET/*.beton and manifest.json."""

import sys

from slt_bench import paths
from slt_bench.cli import prepare_dataset
from slt_bench.errors import run_command
from slt_bench.params_file import load_params

if __name__ == "__main__":
    run_command(lambda: prepare_dataset(load_params(paths.PARAMS), sys.argv[1]))
