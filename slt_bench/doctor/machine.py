"""A check of the machine: git, disk, MLflow's store, accelerator, and the environment of several processes."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from slt_bench.common import paths
from slt_bench.common.errors import BenchError
from slt_bench.common.files import check_writable
from slt_bench.common.libraries import first_line
from slt_bench.common.terminal import printable
from slt_bench.compute.devices import cores
from slt_bench.doctor.finding import Finding
from slt_bench.tracking.contact import without_password

_WRITTEN = (paths.DATA, paths.OUTPUTS, paths.STATE)


def machine() -> Iterator[Finding]:
    """Yield a finding for each thing that does not depend on the project's parameters."""
    yield _git()
    yield _disk()
    yield _folder()
    yield _store()
    if os.environ.get("MLFLOW_TRACKING_URI"):
        yield Finding("MLFLOW_TRACKING_URI", printable(without_password(os.environ["MLFLOW_TRACKING_URI"])))
    if os.environ.get("WORLD_SIZE"):
        yield _processes()
    if "torch" in sys.modules:  # else `libraries` has found that it is missing or broken
        yield _accelerator()


def _git() -> Finding:
    """Look for git, which tells what code a result was made with."""
    path = shutil.which("git")
    return Finding("git", path or "missing", "" if path else "sudo apt-get install git")


def _disk() -> Finding:
    """Check the free space of the disk that the working directory lies on."""
    free = shutil.disk_usage(".").free / 2**30
    return Finding("disk space here", f"{free:.1f} GiB free", "" if free > 2 else "make room: results need about 2 GiB")


def _folder() -> Finding:
    """Write into the project's folders: permissions alone do not tell of a disk that is mounted to be read only."""
    project, faults = printable(str(Path.cwd())), []
    for directory in (Path(), *(path for path in _WRITTEN if path.exists())):
        try:
            check_writable(directory)
        except BenchError as error:
            faults.append(str(error))
    if faults:
        return Finding(
            "project folder", f"{project}: {'; '.join(faults)}", "make each a folder that you may write into, or run elsewhere"
        )
    return Finding("project folder", f"{project}, can be written")


def _store() -> Finding:
    """Check that MLflow's store is a file, if it exists."""
    if not paths.MLFLOW_STORE.exists():
        return Finding("MLflow store", "does not exist yet; the first search makes it")
    if not paths.MLFLOW_STORE.is_file():
        return Finding("MLflow store", f"{paths.MLFLOW_STORE} is no file", "move it away")
    return Finding("MLflow store", str(paths.MLFLOW_STORE))


def _processes() -> Finding:
    """Check the variables by which several processes find each other."""
    from slt_bench.compute.torchrun import read_rendezvous

    try:
        rendezvous = read_rendezvous()
    except BenchError as error:
        fault, _, fix = str(error).rpartition(": ")
        return Finding("several processes", fault, fix)
    one_of = f"this is number {rendezvous.rank} of {rendezvous.world_size}" if rendezvous else "no: WORLD_SIZE is 1"
    return Finding("several processes", one_of)


def _accelerator() -> Finding:
    """Look for a GPU that torch can use."""
    import torch

    try:
        if torch.cuda.is_available():
            return Finding("accelerator", f"{torch.cuda.get_device_name()}, {cores()} CPU cores")
    except (RuntimeError, AssertionError) as error:
        return Finding("accelerator", f"a GPU that cannot be used: {first_line(error)}", "repair or update its driver")
    return Finding("accelerator", f"none: searches run on {cores()} CPU cores")
