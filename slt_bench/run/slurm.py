"""The cells of tables as a SLURM array job."""

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
    """A script for `sbatch`: an element for each cell that is not done, with those that need its ticket.

    Raises:
        BenchError: nothing is left.
    """
    cells = [each.cell for each in plan(list(experiments.cells(tables).values())) if each.is_left]
    if not cells:
        raise BenchError(f"nothing is left to run of {', '.join(tables)}")
    logs = paths.log_file("").parent
    logs.mkdir(parents=True, exist_ok=True)  # SLURM does not
    found = families(cells)
    lines = ["  '" + " ".join(cell.id for cell in family) + "'" for family in found]
    return _SCRIPT.format(
        title=", ".join(tables), count=len(cells), tables=" ".join(tables), last=len(found) - 1,
        logs=logs, cells="\n".join(lines),
    )  # fmt: skip
