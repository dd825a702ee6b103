"""The machine: git, disk, accelerator, and what its environment says of processes and MLflow."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from slt_bench.common import paths
from slt_bench.common.errors import BenchError
from slt_bench.common.libraries import first_line
from slt_bench.common.terminal import printable
from slt_bench.doctor.finding import Finding

_WRITTEN = (paths.DATA, paths.OUTPUTS, paths.STATE)


def machine() -> Iterator[Finding]:
    """What does not depend on the project's parameters."""
    yield _git()
    yield _disk()
    yield _folder()
    yield _store()
    if os.environ.get("MLFLOW_TRACKING_URI"):
        yield Finding("MLFLOW_TRACKING_URI", _without_password(os.environ["MLFLOW_TRACKING_URI"]))
    if os.environ.get("WORLD_SIZE"):
        yield _processes()
    if "torch" in sys.modules:  # else it could not be loaded, which is said elsewhere
        yield _accelerator()


def _git() -> Finding:
    there = shutil.which("git")
    return Finding("git", there or "missing", "" if there else "sudo apt-get install git")


def _disk() -> Finding:
    free = shutil.disk_usage(".").free / 2**30
    return Finding("disk space here", f"{free:.1f} GiB free", "" if free > 2 else "make room: results need about 2 GiB")


def _folder() -> Finding:
    """Try to write: permissions alone do not tell of a disk that is mounted to be read only."""
    here = printable(str(Path.cwd()))
    try:
        tempfile.TemporaryFile(dir=".").close()
    except OSError as error:
        return Finding("project folder", f"{here}: {error.strerror}", "run the command where you may write")
    locked = [str(path) for path in _WRITTEN if path.exists() and not (path.is_dir() and os.access(path, os.W_OK | os.X_OK))]
    if locked:
        told = f"nothing can be written into {' and '.join(locked)} of {here}"
        return Finding("project folder", told, "make them folders that you may write into")
    return Finding("project folder", f"{here}, can be written")


def _store() -> Finding:
    if paths.MLFLOW_STORE.exists() and not paths.MLFLOW_STORE.is_file():
        return Finding("MLflow store", f"{paths.MLFLOW_STORE} is no file", "move it away")
    there = paths.MLFLOW_STORE.is_file()
    return Finding("MLflow store", str(paths.MLFLOW_STORE) if there else "not there yet; the first search makes it")


def _without_password(address: str) -> str:
    try:
        password = urlsplit(address).password
    except ValueError:  # no address at all: shown as it is
        return printable(address)
    return printable(address.replace(f":{password}@", ":***@") if password else address)


def _processes() -> Finding:
    from slt_bench.compute.torchrun import place

    try:
        here = place()
    except BenchError as error:
        told, _, how = str(error).rpartition(": ")
        return Finding("several processes", told, how)
    return Finding("several processes", f"this is number {here.rank} of {here.count}" if here else "no: WORLD_SIZE is 1")


def _accelerator() -> Finding:
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    try:
        if torch.cuda.is_available():
            return Finding("accelerator", f"{torch.cuda.get_device_name()}, {cores} CPU cores")
    except (RuntimeError, AssertionError) as error:
        return Finding("accelerator", f"there, but of no use: {first_line(error)}", "mend its driver")
    return Finding("accelerator", f"none: searches run on {cores} CPU cores")
