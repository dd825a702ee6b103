"""A SLURM array job that runs the cells of tables."""

from __future__ import annotations

from slt_bench.common import paths
from slt_bench.common.errors import BenchError
from slt_bench.experiment.experiments import Experiments
from slt_bench.experiment.grid import families
from slt_bench.run.plan import plan

_SCRIPT = """\
#!/bin/bash
# {title}: {count} searches that are left. After them, anywhere: slt-bench run {tables}
#SBATCH --job-name=slt-bench
#SBATCH --array=0-{last}
#SBATCH --gpus=1
#SBATCH --cpus-per-task=8
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --signal=B:TERM@120
#SBATCH --output={logs}/slurm-%A-%a.log
cells=(
{cells}
)
slt-bench run ${{cells[$SLURM_ARRAY_TASK_ID]}} &  # no quotes: one that needs another's ticket is in the same line
search=$!
trap 'kill -TERM $search' TERM
wait $search; status=$?
if [ $status -gt 128 ]; then wait $search; status=$?; fi  # the first was ended by the signal
if [ $status = 75 ]; then scontrol requeue "${{SLURM_ARRAY_JOB_ID}}_$SLURM_ARRAY_TASK_ID"; fi  # its state is saved
exit $status
"""


def array_job(experiments: Experiments, tables: list[str]) -> str:
    """Write a script for `sbatch`: an array element for each cell that is left, together with its children.

    Args:
        experiments: all that params.yaml declares.
        tables: names of the tables.

    Raises:
        BenchError: nothing is left.
    """
    cells = [planned.cell for planned in plan(list(experiments.cells(tables).values())) if planned.is_left]
    if not cells:
        raise BenchError(f"nothing is left to run of {', '.join(tables)}")
    logs = paths.log_file("").parent
    logs.mkdir(parents=True, exist_ok=True)  # SLURM does not
    elements = families(cells)
    lines = ["  '" + " ".join(cell.id for cell in family) + "'" for family in elements]
    return _SCRIPT.format(
        title=", ".join(tables), count=len(cells), tables=" ".join(tables), last=len(elements) - 1,
        logs=logs, cells="\n".join(lines),
    )  # fmt: skip
