"""The project's parameters."""

from __future__ import annotations

from slt_bench.common import paths
from slt_bench.common.errors import BenchError
from slt_bench.common.terminal import printable
from slt_bench.doctor.finding import Finding
from slt_bench.experiment.load import load_params


def parameters() -> Finding:
    """Whether params.yaml can be read and holds no mistake."""
    try:
        params = load_params(paths.PARAMS)
    except (BenchError, OSError) as error:
        mistakes = str(error).splitlines()
        more = f" (and {len(mistakes) - 1} more)" if len(mistakes) > 1 else ""
        there = paths.PARAMS.is_file()
        how = "mend it; `slt-bench check` lists all mistakes" if there else "run the command in the root of a project"
        return Finding(str(paths.PARAMS), printable(mistakes[0]) + more, how)
    return Finding(str(paths.PARAMS), f"{len(params.tables)} tables, no mistake found")
