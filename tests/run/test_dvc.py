"""A run goes through DVC where DVC can follow what it writes, and says so where it goes without."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from slt_bench.common.errors import Preempted
from slt_bench.run.many import Places
from slt_bench.run.tables import dvc, targets
from tests.engine.projects import wait_until_said
from tests.run.test_announce import declared


@pytest.fixture
def stages(project: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The stages that DVC is asked for, in a project that has it and has nothing to search."""
    asked: list[str] = []
    for link in Path("data").iterdir():
        link.unlink()
    monkeypatch.setattr(dvc, "is_set_up", lambda: True)
    monkeypatch.setattr(dvc, "reproduce", lambda *stages: asked.extend(stages))
    monkeypatch.setattr(targets, "search_cells", lambda *_: [])
    monkeypatch.setattr(targets, "prepare_missing", lambda *_: asked.append("prepared"))
    monkeypatch.setattr(targets, "show_table", lambda *_: asked.append("shown"))
    return asked


def test_a_run_goes_through_the_stages(stages: list[str]) -> None:
    targets.run_targets(declared(), ["one"], Places())
    assert stages == ["prepare@digits", "table@one"]


@pytest.mark.parametrize("linked", ["data", "data/digits", "outputs/cells"])
def test_a_run_with_a_directory_on_another_disk_goes_without(
    stages: list[str], linked: str, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    Path(linked).parent.mkdir(parents=True, exist_ok=True)
    if Path(linked).is_dir():
        Path(linked).rmdir()
    Path(linked).symlink_to(tmp_path_factory.mktemp("disk"))
    targets.run_targets(declared(), ["one"], Places())
    assert stages == ["prepared", "shown"]
    assert f"note: {'outputs/cells/one' if 'cells' in linked else 'data/digits'}: out of the project" in capsys.readouterr().out


def test_a_stage_that_fails_says_how_to_learn_why(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        dvc.reproduce("table@one")  # of no DVC repository
    assert "`dvc repro table@one` failed" in capsys.readouterr().err


def test_two_runs_use_dvc_one_after_the_other(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """DVC refuses to work where another one does."""
    said: list[str] = []

    def work(command: list[str], _: object) -> int:
        said.append(f"begin {command[-1]}")
        time.sleep(0.1)
        said.append(f"end {command[-1]}")
        return 0

    monkeypatch.setattr(dvc, "_whole", work)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(dvc.reproduce, ["one", "two"]))
    assert [line.split()[0] for line in said] == ["begin", "end"] * 2 and said[0][6:] == said[1][4:]


STAND_IN = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print("begun", file=open("stage", "w"), flush=True)
child.wait()
"""


def test_a_stop_ends_the_stage_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """DVC dies of a signal by itself, and would leave behind what it waits for."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dvc.py").write_text(STAND_IN)
    run = "from slt_bench.common.errors import run_command\nfrom slt_bench.run.tables import dvc\n"
    run += "run_command(lambda: dvc.reproduce('table@one'))"
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{Path(dvc.__file__).parents[3]}", "PYTHONSAFEPATH": ""}
    with subprocess.Popen([sys.executable, "-c", run], env=environment, stderr=subprocess.PIPE, text=True) as process:
        wait_until_said([tmp_path / "stage"], "begun", process)
        process.terminate()
        told = process.communicate(timeout=30)[1]  # which waits for all who can write there, the stage too
    assert process.returncode == Preempted.status and "Traceback" not in told
