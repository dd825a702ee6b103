"""DVC as a run uses it: the stages that prepare datasets and make tables."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

ANNOUNCED = "SLT_BENCH_ANNOUNCED"  # set in the environment of stages whose run has announced itself


def is_set_up() -> bool:
    """Whether the project's directory has a DVC repository, and DVC is installed."""
    return Path(".dvc").is_dir() and find_spec("dvc") is not None


def reproduce(*stages: str) -> None:
    """Let DVC bring stages up to date.

    Raises:
        SystemExit: a stage failed; DVC has printed the reason.
    """
    command = [sys.executable, "-m", "dvc", "--wait-for-lock", "repro", "--quiet", *stages]
    status = subprocess.run(command, env=os.environ | {ANNOUNCED: "1"}).returncode
    if status:
        raise SystemExit(status)
