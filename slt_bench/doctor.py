"""What a machine has and lacks for this project."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from slt_bench import paths

_APT = "build-essential git pkg-config libopencv-dev libturbojpeg0-dev python3-dev python3-venv"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; `mend` is what to do where it is not well."""

    what: str
    found: str
    mend: str = ""

    def __str__(self) -> str:
        return f"{'✗' if self.mend else '✓'} {self.what}: {self.found}" + (f"\n    mend: {self.mend}" if self.mend else "")


def examine() -> list[Finding]:
    """Look at Python, libraries, system packages, disk, accelerator and data."""
    findings = [_python(), *(_library(name, module) for name, module in _LIBRARIES.items()), _git(), _disk(), _store()]
    if importlib.util.find_spec("ffcv") is None:
        findings.append(_system_packages())
    if importlib.util.find_spec("torch") is not None:
        findings.append(_accelerator())
    return [*findings, *_data()]


_LIBRARIES = {"torch": "torch", "torchvision": "torchvision", "ffcv": "ffcv", "dvc": "dvc", "mlflow": "mlflow",
              "pydantic": "pydantic", "safetensors": "safetensors", "scikit-learn": "sklearn"}  # fmt: skip


def _python() -> Finding:
    found = sys.version.split()[0]
    return Finding("Python", found, "" if sys.version_info >= (3, 11) else "install Python 3.11 or newer, then `make setup`")


def _library(name: str, module: str) -> Finding:
    try:
        found = version(name)
    except PackageNotFoundError:
        return Finding(name, "missing", "`make setup`")
    if importlib.util.find_spec(module) is None:
        return Finding(name, f"{found}, but it cannot be imported", "`make setup`")
    return Finding(name, found)


def _system_packages() -> Finding:
    missing = [name for name in ("opencv4", "libturbojpeg") if not _has_package(name)]
    if not missing:
        return Finding("system packages for ffcv", "there")
    return Finding("system packages for ffcv", f"{' and '.join(missing)} missing", f"sudo apt-get install {_APT}")


def _has_package(name: str) -> bool:
    try:
        return subprocess.run(["pkg-config", "--exists", name], check=False).returncode == 0
    except FileNotFoundError:
        return False


def _git() -> Finding:
    there = shutil.which("git")
    return Finding("git", there or "missing", "" if there else "sudo apt-get install git")


def _disk() -> Finding:
    free = shutil.disk_usage(".").free / 2**30
    return Finding("disk space here", f"{free:.1f} GiB free", "" if free > 2 else "make room: results need about 2 GiB")


def _store() -> Finding:
    there = paths.MLFLOW_STORE.is_file()
    return Finding("MLflow store", str(paths.MLFLOW_STORE) if there else "not there yet; the first search makes it")


def _accelerator() -> Finding:
    import torch

    cores = len(os.sched_getaffinity(0))
    if torch.cuda.is_available():
        return Finding("accelerator", f"{torch.cuda.get_device_name()}, {cores} CPU cores")
    return Finding("accelerator", f"none: searches run on {cores} CPU cores")


def _data() -> list[Finding]:
    findings = []
    for name in ("SLT_BENCH_CIFAR10", "SLT_BENCH_CIFAR100"):
        if path := os.environ.get(name):
            there = Path(path).exists()
            mend = "" if there else f"set {name} to the release's directory, or to a folder or tar of split/class/image"
            findings.append(Finding(name, path if there else f"{path} does not exist", mend))
    return findings
