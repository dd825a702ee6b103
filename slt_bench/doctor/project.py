"""A check of the project's parameters."""

from __future__ import annotations

from slt_bench.common import paths
from slt_bench.common.errors import BenchError
from slt_bench.common.terminal import printable
from slt_bench.doctor.finding import Finding
from slt_bench.experiment.load import load_experiments


def parameters() -> Finding:
    """Read params.yaml and tell its first mistake, if it has one."""
    try:
        experiments = load_experiments(paths.PARAMS)
    except (BenchError, OSError) as error:
        mistakes = str(error).splitlines()
        more = f" (and {len(mistakes) - 1} more)" if len(mistakes) > 1 else ""
        is_project = paths.PARAMS.is_file()
        fix = "correct it; `slt-bench check` lists all mistakes" if is_project else "run the command in the root of a project"
        return Finding(str(paths.PARAMS), printable(mistakes[0]) + more, fix)
    return Finding(str(paths.PARAMS), f"{len(experiments.tables)} tables, no mistake found")
