"""Many cells at a time: the same bits, one failure touching no other, and the same command going on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from slt_bench.common import paths
from slt_bench.experiment.cell import Cell
from slt_bench.experiment.experiments import Experiments
from slt_bench.experiment.grid import families
from slt_bench.experiment.load import load_experiments
from slt_bench.params.machine import Machine
from slt_bench.records.standing import is_done
from slt_bench.run.slurm import array_job
from slt_bench.run.targets import choose_places
from tests.experiment.test_params import GOOD

PARAMS = """\
machine: {checkpoint_minutes: 1}
""" + GOOD[: GOOD.index("    rows:")].replace("  ep:", "  random: {kind: random-mask}\n  ep:") + """\
    rows:
      - {search: ep, sparsity: 0.5}
      - {search: random, source: {prune_ratio: 0.5, lock_ratio: 0.5, layout: from_ticket, ticket: {search: ep, sparsity: 0.5}},
         sparsity: 0.5}
"""  # fmt: skip
WILD = PARAMS.replace("searches:", "  wild: {epochs: 2, batch_size: 64, learning_rate: 1e30}\nsearches:").replace(
    "      - {search: ep, sparsity: 0.5}", "      - {search: training, recipe: wild}\n      - {search: ep, sparsity: 0.5}"
)


def run(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "slt_bench", "run", *arguments]
    return subprocess.run(command, cwd=project, env=environment(), capture_output=True, text=True, timeout=120)


def environment() -> dict[str, str]:
    root = Path(__file__).parent.parent.parent
    path = f"{root}{os.pathsep}{root / 'tests/absent'}"  # MLflow has tests of its own
    return os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}


def written(text: str) -> Experiments:
    Path("params.yaml").write_text(text)
    return load_experiments(Path("params.yaml"))


def bits(cell: Cell) -> list[bytes]:
    return [(cell.directory / name).read_bytes() for name in ("ticket.safetensors", "history.csv", "metrics.json")]


@pytest.mark.slow
def test_two_at_a_time_find_what_one_finds_and_an_heir_waits_for_its_ticket(project: Path) -> None:
    cells = written(PARAMS).tables["one"].cells
    assert [len(family) for family in families(cells)] == [2, 2]
    together = run(project, "one", "--jobs", "2")
    assert together.returncode == 0, together.stdout + together.stderr
    assert "[4/4]" in together.stdout and all(is_done(cell) for cell in cells)
    found = {cell.id: bits(cell) for cell in cells}
    again = run(project, "one", "--jobs", "2")
    assert "all 4 cells have their results" in again.stdout and "[4/4]" not in again.stdout
    for cell in cells:
        for file in cell.directory.iterdir():
            file.unlink()
    *_, child = families(cells)[0]  # asked for alone: what it needs comes before it
    assert run(project, child.id).returncode == 0
    assert run(project, "one").returncode == 0
    assert {cell.id: bits(cell) for cell in cells} == found


def in_the_way(cell: Cell) -> Path:
    """A file where the folder of a cell's results should be, so that it fails."""
    path = cell.directory
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("in the way")
    return path


@pytest.mark.slow
def test_a_failure_is_told_with_its_log_and_the_others_are_done(project: Path) -> None:
    wild, *others = written(WILD.replace("seeds: [0, 1]", "seeds: [0]")).tables["one"].cells
    file = in_the_way(wild)
    ended = run(project, "one", "--jobs", "2")
    assert ended.returncode == 2
    reason = f"{wild.id}: cannot write into {file}: File exists"
    assert f"FAILED {reason}" in ended.stdout
    assert "1 of 3 cells failed; the same command tries them again:" in ended.stderr
    assert reason in ended.stderr and str(paths.log_file(wild.id)) in ended.stderr
    assert paths.log_file(wild.id).is_file() and all(is_done(cell) for cell in others) and not is_done(wild)
    file.unlink()
    again = run(project, "one", "--jobs", "2")
    assert again.returncode == 0 and "2 of 3 cells are done already" in again.stdout
    assert f"{wild.id}  DIVERGED: epoch 1, step" in again.stdout  # which is a result
    assert "all 3 cells have their results" in run(project, "one", "--jobs", "2").stdout


@pytest.mark.parametrize(
    ("processes", "jobs", "devices", "places"),
    [
        (8, None, [], (1, ())),  # a search of several processes has all devices to itself
        (8, 1, [], (1, ())),
        (8, 4, [], (4, ["0", "1"])),
        (8, None, ["1"], (1, ["1"])),
        (1, None, [], (2, ["0", "1"])),
        (1, 1, [], (1, ["0", "1"])),
    ],
)
def test_cells_at_a_time_and_their_devices(
    processes: int, jobs: int | None, devices: list[str], places: tuple[int, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    assert choose_places(Machine(processes=processes), jobs, devices) == places


@pytest.mark.slow
def test_cells_of_a_table_are_searched_by_as_many_processes_as_the_machine_says(project: Path) -> None:
    text = PARAMS.replace("machine: {", "machine: {processes: 2, ").replace("batch_size: 64", "batch_size: 64, shards: 2")
    (parent, _) = written(text.replace("seeds: [0, 1]", "seeds: [0]")).tables["one"].cells
    assert run(project, "one").returncode == 0
    assert json.loads((parent.directory / "search.json").read_text())["processes"] == 2


@pytest.mark.slow
def test_an_heir_of_a_failed_cell_is_not_begun(project: Path) -> None:
    parent, heir = written(PARAMS.replace("seeds: [0, 1]", "seeds: [0]")).tables["one"].cells
    in_the_way(parent)
    ended = run(project, "one", "--jobs", "2")
    assert ended.returncode == 2 and f"{heir.id}: its ticket comes from {parent.id}, which failed" in ended.stderr


@pytest.mark.slow
@pytest.mark.parametrize(("sign", "status"), [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
def test_a_stop_saves_all_and_the_same_command_goes_on(project: Path, sign: signal.Signals, status: int) -> None:
    params = written(PARAMS.replace("epochs: 2", "epochs: 120"))
    cells = params.tables["one"].cells[:2]
    command = [sys.executable, "-m", "slt_bench", "run", *(cell.id for cell in cells), "--jobs", "2"]
    process = subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    logs = [paths.log_file(cell.id) for cell in cells]
    wait_until_said(logs, "epoch 2/120", process)
    process.send_signal(sign)
    _, told = process.communicate(timeout=60)
    assert process.returncode == status and "all is saved, and the same command goes on" in told
    assert not any(is_done(cell) for cell in cells)
    assert run(project, *(cell.id for cell in cells), "--jobs", "2").returncode == 0
    assert all(is_done(cell) for cell in cells) and "epoch 1/120" not in logs[0].read_text().split("stopped ")[-1]


@pytest.mark.slow
def test_cells_of_a_pool_that_is_killed_save_their_state_and_end(project: Path) -> None:
    params = written(PARAMS.replace("epochs: 2", "epochs: 2000"))
    cells = [cell for cell in params.tables["one"].cells if cell.source.parent is None]
    command = [sys.executable, "-m", "slt_bench", "run", *(cell.id for cell in cells), "--jobs", "2"]
    process = subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_until_said([paths.log_file(cell.id) for cell in cells], "epoch 2/2000", process)
    process.kill()
    process.communicate()
    wait_until_said([paths.log_file(cell.id) for cell in cells], "stopped ")


def wait_until_said(logs: list[Path], text: str, process: subprocess.Popen[Any] | None = None) -> None:
    until = time.monotonic() + 60
    while not all(log.is_file() and text in log.read_text() for log in logs):
        assert time.monotonic() < until and (process is None or process.poll() is None)
        time.sleep(0.05)


def test_parts_are_disjoint_whole_and_keep_families_together(project: Path) -> None:
    params = written(PARAMS)
    cells = params.tables["one"].cells
    parts = [[cell.id for family in families(cells)[part::2] for cell in family] for part in range(2)]
    assert sorted(parts[0] + parts[1]) == sorted(cell.id for cell in cells)
    for part in parts:
        parents = [params.cell(name).source.parent for name in part]
        assert all(parent.id in part for parent in parents if parent)


def test_wrong_calls_are_told(project: Path) -> None:
    written(PARAMS)
    for arguments, message in ((["ones"], "there is no cell 'ones'; did you mean 'one'?"),
                               (["one", "--part", "3/2"], "must be like 1/2"),
                               (["one", "--jobs", "0"], "must be 1 or more")):  # fmt: skip
        ended = run(project, *arguments)
        assert ended.returncode == 2 and message in ended.stderr, ended.stderr


def test_the_array_job_is_a_script_with_a_line_for_each_family(project: Path) -> None:
    params = written(PARAMS)
    script = array_job(params, ["one"])
    assert subprocess.run(["bash", "-n"], input=script, text=True).returncode == 0
    assert "#SBATCH --array=0-1" in script and "4 searches" in script
    first, second = (" ".join(cell.id for cell in family) for family in families(params.tables["one"].cells))
    assert f"'{first}'" in script and f"'{second}'" in script


@pytest.mark.parametrize("told", [True, False])
def test_an_element_of_the_array_runs_its_cells_and_asks_for_more_time(project: Path, told: bool) -> None:
    """The script itself, as a file, with a stand-in for `slt-bench` that ends as one that was told to stop."""
    Path("job.sh").write_text(array_job(written(PARAMS), ["one"]))
    stand_ins = project / "bin"
    stand_ins.mkdir()
    wait = "sleep 60 & wait $!" if told else ""
    for name, line in (("slt-bench", f"trap 'exit 75' TERM; echo \"$@\" >> calls; {wait}; exit 75".replace("; ;", ";")),
                       ("scontrol", 'echo "$@" >> calls')):  # fmt: skip
        (stand_ins / name).write_text(f"#!/bin/bash\n{line}\n")
        (stand_ins / name).chmod(0o755)
    variables = {"PATH": f"{stand_ins}:{os.environ['PATH']}", "SLURM_ARRAY_TASK_ID": "1", "SLURM_ARRAY_JOB_ID": "77"}
    job = subprocess.Popen(["bash", "job.sh"], env=os.environ | variables)
    while not Path("calls").is_file():
        time.sleep(0.05)
    if told:
        job.send_signal(signal.SIGTERM)
    assert job.wait(timeout=20) == 75
    _, second = families(load_experiments(Path("params.yaml")).tables["one"].cells)
    assert Path("calls").read_text().splitlines() == ["run " + " ".join(cell.id for cell in second), "requeue 77_1"]
    assert paths.log_file("").parent.is_dir()  # where SLURM writes
