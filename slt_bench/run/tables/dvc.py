"""DVC as a run uses it: the stages that prepare datasets and make tables."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from slt_bench.common import paths
from slt_bench.common.files import in_turn

ANNOUNCED = "SLT_BENCH_ANNOUNCED"  # set in the environment of stages whose run has announced itself


def is_set_up() -> bool:
    """Whether the project's directory has a DVC repository, and DVC is installed."""
    return Path(".dvc").is_dir() and find_spec("dvc") is not None


def outside(directories: Iterable[Path]) -> list[Path]:
    """List the directories that lie outside of the project, through a link: DVC refuses to follow what is in them."""
    project = Path.cwd().resolve()
    return [directory for directory in directories if not directory.resolve().is_relative_to(project)]


def reproduce(*stages: str) -> None:
    """Let DVC bring stages up to date, after other runs that do so: what one writes another may not read meanwhile.

    Raises:
        SystemExit: a stage failed, and has printed the reason, or DVC did.
        Interrupted: Ctrl-C, or SIGTERM (`Preempted`); the stage that was running has ended too.
    """
    command = [sys.executable, "-m", "dvc", "--wait-for-lock", "repro", "--quiet", *stages]
    # Stages call `python`, which has to be this one, whether its environment is activated or not.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    with in_turn(paths.STATE / "dvc.lock"):
        status = _whole(command, os.environ | {ANNOUNCED: "1", "PATH": path})
    if status:
        print(f"`dvc repro {' '.join(stages)}` failed (exit status {status}); by itself it says more", file=sys.stderr)
        raise SystemExit(status)


def _whole(command: list[str], environment: Mapping[str, str]) -> int:
    """Run a command and return its exit status; if that is stopped, nothing that the command has started is left running."""
    with subprocess.Popen(command, env=environment, start_new_session=True) as process:
        try:
            return process.wait()
        except BaseException:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)  # DVC alone would leave its stage behind
            raise
