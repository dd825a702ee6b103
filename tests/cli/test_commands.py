"""Commands as a user types them: clear errors, exit codes, Ctrl-C and going on."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.run import command
from tests.experiment.test_params import GOOD
from tests.fresh import Command

CELL = "digits_tiny_dense_ep_quick_s50_seed0"


def elsewhere(*arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own."""
    return subprocess.run([sys.executable, "-m", "slt_bench", *arguments], capture_output=True, text=True, **more)


@pytest.fixture
def bench(project: Path) -> Path:
    """A project with parameters, as working directory."""
    Path("params.yaml").write_text(GOOD)
    return project


@pytest.fixture
def bench_with_store(bench: Path, empty_store: Path) -> Path:
    """The same with MLflow's store in place."""
    shutil.copy(empty_store, bench / "mlflow.db")
    return bench


def test_check_and_plan(bench: Path) -> None:
    assert "1 tables, 14 cells, no mistake found" in command("check").stdout
    out = command("plan", "one").stdout
    assert f"missing  {CELL}" in out and "one: 0 of 14 cells done; 14 left; how long that takes is not known yet" in out
    assert command("plan").stdout.splitlines()[0].startswith("one: 0 of 14 cells done")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("plan", "ones"), "there is no table 'ones'; did you mean 'one'?"),
        (("run", "digits_tiny"), "there is no table or cell 'digits_tiny'"),
        (("search", "one"), "'one' is a table; `slt-bench plan one` lists its cells"),
        (("prepare", "digit"), "there is no dataset 'digit'; did you mean 'digits'?"),
        (("ticket", "nothing"), "there is no ticket nothing"),
    ],
)
def test_mistakes_are_one_line_and_exit_with_2(bench: Path, arguments: tuple[str, ...], message: str) -> None:
    done = command(*arguments)
    assert done.returncode == 2 and done.stderr.startswith(f"error: {message}"), done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_outside_a_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = command("check")
    assert done.returncode == 2 and "params.yaml is missing" in done.stderr


def test_light_commands_import_no_heavy_library(bench: Path) -> None:
    script = (
        "import sys; sys.argv = ['slt-bench', 'plan']\nfrom slt_bench.cli.commands import main\nmain()\n"
        "heavy = {'torch', 'mlflow', 'ffcv', 'numba', 'matplotlib', 'sklearn'} & set(sys.modules)\nassert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def start() -> subprocess.Popen[str]:
    arguments = [sys.executable, "-m", "slt_bench", "run", CELL]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(process: subprocess.Popen[str], text: str) -> str:
    assert process.stdout is not None
    return next(line for line in process.stdout if text in line)


@pytest.mark.slow
def test_stopped_killed_and_started_twice(bench: Path) -> None:
    Path("params.yaml").write_text(GOOD.replace("epochs: 2", "epochs: 9000"))
    process = start()
    wait_for(process, "epoch 3/")
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=90)
    assert process.returncode == 130
    assert "of 9000" in errors and "this is saved, and the same command goes on from there" in errors, errors
    assert "Traceback" not in errors
    stopped = re.search(r"stopped (in|after) epoch (\d+)", errors)
    assert stopped is not None, errors
    place, number = stopped.groups()
    done = int(number) - (place == "in")

    again = Command("run", CELL)
    assert f"epoch {done + 1}/9000" in again.wait_for("/9000")
    second = command("run", CELL)
    assert second.returncode == 2 and "another process is at work" in second.stderr
    again.kill()
    again.communicate()

    third = Command("run", CELL)  # the lock died with its holder
    assert f"epoch {done + 1}/9000" not in third.wait_for("/9000")
    third.terminate()
    third.communicate()
    assert third.returncode == 75


@pytest.mark.slow
def test_run_makes_a_ticket_that_can_be_shown(bench_with_store: Path) -> None:
    bench = bench_with_store
    done = command("run", CELL)
    assert done.returncode == 0, done.stderr
    assert "bytes" in done.stdout.splitlines()[-1]
    again = command("run", CELL).stdout
    assert "holds the result of this search; remove it to search again" in again and "epoch" not in again
    assert done.stdout.splitlines()[-1] == again.splitlines()[-1] == command("evaluate", CELL).stdout.splitlines()[-1]
    shown = command("ticket", f"outputs/cells/one/{CELL}/ticket.safetensors").stdout
    file = f"outputs/cells/one/{CELL}/ticket.safetensors"
    smaller = command("ticket", file, "--write", "small.safetensors", "--mask", "coded", "--statistics", "float16").stdout
    assert "wrote small.safetensors" in smaller and "weights matches" in command("ticket", "small.safetensors").stdout
    assert (bench / "small.safetensors").stat().st_size < (bench / file).stat().st_size
    assert "conv4" in shown and "verified" in shown
    top1 = json.loads((bench / f"outputs/cells/one/{CELL}/metrics.json").read_text())["top1"]
    assert f"test top-1 on digits: {top1:.2f} % (" in command("ticket", file, "--on", "digits").stdout
    assert "there is no dataset 'digit'; did you mean 'digits'?" in command("ticket", file, "--on", "digit").stderr
    for nowhere in (".", "/", "", "no/such/folder/small.safetensors"):
        refused = command("ticket", file, "--write", nowhere)
        assert refused.returncode == 2 and "name a file, in a folder that is there" in refused.stderr
    assert not Path("no").exists()
    assert "holds the result of this search" in command("search", CELL).stdout, "what is there is not lost"
    assert f"done     {CELL}" in command("plan", "one").stdout
    assert command("report", "one").returncode == 0
    tracked = command("track", "one")
    assert "1 runs written for one" in tracked.stdout and "compareRunsMode=CHART" in tracked.stdout


def test_doctor(bench_with_store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLT_BENCH_CIFAR10", "no/such/file")
    done = command("doctor")
    assert "✓ Python" in done.stdout and "✓ torch" in done.stdout
    assert done.returncode == 2 and "no/such/file does not exist" in done.stdout


@pytest.mark.slow
def test_files_are_utf8_whatever_the_terminal_is(bench_with_store: Path) -> None:
    """What a cell runs, its record and its history; a reader with another encoding would call every result stale."""
    Path("params.yaml").write_text(GOOD.replace("title: One", "title: Größe – 一"), encoding="utf-8")
    plain = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    assert elsewhere("run", CELL, env=plain).returncode == 0
    for environment in (plain, os.environ | {"PYTHONUTF8": "1"}):
        done = elsewhere("plan", "one", env=environment)
        assert done.returncode == 0 and "1 of 14 cells done" in done.stdout, done.stdout + done.stderr
    assert elsewhere("report", "one", env=plain).returncode == 0
