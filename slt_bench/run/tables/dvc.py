"""DVC as a run uses it: the stages that prepare datasets and make tables."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
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
    """
    command = [sys.executable, "-m", "dvc", "--wait-for-lock", "repro", "--quiet", *stages]
    # Stages call `python`, which has to be this one, whether its environment is activated or not.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    with in_turn(paths.STATE / "dvc.lock"):
        status = subprocess.run(command, env=os.environ | {ANNOUNCED: "1", "PATH": path}).returncode
    if status:
        print(f"`dvc repro {' '.join(stages)}` failed (exit status {status}); by itself it says more", file=sys.stderr)
        raise SystemExit(status)
