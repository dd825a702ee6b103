"""A table through SLURM, one of a single machine: queued, a job requeued in the middle, a time limit reached, gone on from.

It needs root, slurm-wlm and munge, as `.ci/run` installs them where it may.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from slt_bench.common import paths
from slt_bench.experiment.cell import Cell
from slt_bench.run.many import Places, run_cells
from tests.engine.projects import ONE_SEED, PARAMS, ROOT, bits, started, wait_until_said, written

FOLDERS = "/usr/sbin:/usr/bin:/sbin:/bin"
MISSING = [name for name in ("slurmctld", "slurmd", "munged", "sbatch") if shutil.which(name, path=FOLDERS) is None]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.campaign,
    pytest.mark.skipif(bool(MISSING), reason=f"no SLURM here: {', '.join(MISSING)} missing (Debian: slurm-wlm, munge)"),
    pytest.mark.skipif(os.getuid() != 0, reason="SLURM's daemons need root"),
]
SCRIPT = ROOT / "tests/engine/slurm-local.sh"
CLUSTER = """\
from dask_jobqueue import SLURMCluster
def make():
    cluster = SLURMCluster(cores=1, memory="1GB", walltime="{walltime}", log_directory=".state/slurm")
    cluster.adapt(maximum=2)
    return cluster.get_client()
"""


@pytest.fixture
def slurm(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A SLURM of this machine."""
    directory = tmp_path_factory.mktemp("slurm")
    monkeypatch.setenv("PATH", f"{os.environ['PATH']}:/usr/sbin:/sbin")
    ended = subprocess.run([SCRIPT, "start", directory], capture_output=True, text=True)
    if ended.returncode:
        pytest.skip(f"SLURM does not start here: {ended.stderr[-300:]}")
    monkeypatch.setenv("SLURM_CONF", str(directory / "slurm.conf"))
    yield
    subprocess.run(["scancel", "--user=root"])
    subprocess.run([SCRIPT, "stop", directory], check=True)


def jobs(state: str = "pending,running") -> list[str]:
    """The numbers of jobs in a state."""
    return subprocess.run(["squeue", "-h", "-t", state, "-o", "%i"], capture_output=True, text=True).stdout.split()


def undisturbed(params: str, epochs: int) -> tuple[list[Cell], dict[str, list[bytes]]]:
    """Cells of a table, with the results that this machine alone finds; these are removed again."""
    experiments = written(params.replace("epochs: 2", f"epochs: {epochs}"))
    cells = experiments.tables["one"].cells
    assert run_cells(experiments.params.machine, cells, Places(jobs=2)) == []
    found = bits(cells)
    shutil.rmtree(paths.CELLS)
    shutil.rmtree(paths.STATE)
    return cells, found


def went_on(cells: list[Cell]) -> bool:
    """Whether a search of these had more sessions than one."""
    return any(len(json.loads((cell.directory / "search.json").read_text())["sessions"]) > 1 for cell in cells)


@pytest.mark.usefixtures("slurm")
def test_a_table_is_queued_and_goes_on_after_a_job_is_requeued(project: Path) -> None:
    cells, found = undisturbed(ONE_SEED, 60)
    Path("cluster.py").write_text(CLUSTER.format(walltime="00:10:00"))
    process = started("one", "--executor", "cluster:make")
    wait_until_said([paths.log_file(cells[0].id)], "epoch 5/60", process)
    job = jobs("running")[0]
    assert subprocess.run(["scontrol", "requeue", job]).returncode == 0
    out, errors = process.communicate(timeout=300)
    assert process.returncode == 0 and "[2/2]" in out, out + errors
    assert bits(cells) == found
    assert went_on(cells) and all(paths.log_file(cell.id).read_text().count("epoch 1/") == 1 for cell in cells)
    until = time.monotonic() + 30
    while jobs():  # they end with the head
        assert time.monotonic() < until
        time.sleep(0.2)


@pytest.mark.usefixtures("slurm")
@pytest.mark.skipif("SLT_BENCH_SLURM_LIMIT" not in os.environ, reason="takes minutes: set SLT_BENCH_SLURM_LIMIT")
def test_a_time_limit_is_reached_and_gone_on_from(project: Path) -> None:
    cells, found = undisturbed(PARAMS, 400)
    Path("cluster.py").write_text(CLUSTER.format(walltime="00:01:00"))
    process = started("one", "--executor", "cluster:make")
    out, errors = process.communicate(timeout=1500)
    assert process.returncode == 0 and "[4/4]" in out, out + errors
    assert bits(cells) == found
    assert went_on(cells)
