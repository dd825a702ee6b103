"""What the head and its workers exchange: a job goes out, a report comes back, and notes are sent meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Literal

from slt_bench.common import paths
from slt_bench.common.files import replaced
from slt_bench.experiment.cell import Cell
from slt_bench.experiment.grid import families
from slt_bench.params.machine import Machine
from slt_bench.records.code_digest import cell_code
from slt_bench.records.provenance import library_versions
from slt_bench.records.standing import image_digests

_LIBRARIES = ("torch", "torchvision", "numpy", "numba")
Files = dict[str, dict[str, bytes]]  # a cell's directory in the project -> name of a file -> its content


@cache
def _libraries() -> dict[str, str]:
    """Look up the versions of libraries once, whatever the number of jobs."""
    return {name: version.partition("+")[0] for name, version in library_versions(*_LIBRARIES).items()}


@dataclass(frozen=True)
class Versions:
    """The digest of the code that some cells run, and the versions of libraries."""

    code: str
    libraries: dict[str, str]

    @staticmethod
    def here(cells: Iterable[Cell]) -> Versions:
        """Look up those of this process; builds of libraries (`+cu130`) are left out, since devices need different ones."""
        return Versions(
            "+".join(sorted({cell_code(cell) for cell in cells})),
            _libraries(),
        )

    def differences(self, other: Versions) -> list[str]:
        """Describe what differs in `other`, a phrase each."""
        pairs = [("code", self.code, other.code)]
        pairs += [(name, version, other.libraries.get(name, "missing")) for name, version in self.libraries.items()]
        return [f"{name} {theirs} instead of {ours}" for name, ours, theirs in pairs if ours != theirs]


@dataclass(frozen=True)
class Work:
    """What a worker does with a cell, as functions that it imports by their names."""

    run: Callable[[Machine, Cell], None]  # search and evaluate a cell
    prepare: Callable[[Cell, int], None]  # write a cell's dataset by some threads, if this machine lacks it
    imports: str  # the module that fresh processes are forked with


@dataclass(frozen=True)
class Job:
    """A family of cells to run one after another, and what a worker must have in common with the head to run them."""

    cells: tuple[Cell, ...]  # a parent before its children
    work: Work
    identities: dict[str, str]  # of each cell by id, as the head computes them
    machine: Machine
    versions: Versions
    images: dict[str, str]  # digest of each dataset's prepared images
    project: Path  # the head's directory
    token: str  # of the run: a file of this name shows that a worker sees the head's directory
    threads: int | None = None  # to compute with on the CPU; None leaves it to the worker's environment
    parents: Files = field(default_factory=dict)  # results of parents that are done, if the worker may not see them

    def sees_project(self) -> bool:
        """Whether this worker sees the head's directory."""
        return (self.project / paths.run_dir(self.token)).is_dir()


@dataclass(frozen=True)
class Outcome:
    """How a cell ended on a worker."""

    table: str
    cell_id: str
    kind: Literal["done", "failed", "stopped", "lost"]
    line: str  # what it said last, or the reason
    seconds: float
    log: str | None = None

    @property
    def key(self) -> tuple[str, str]:
        """The table and the id, which name a cell of a run."""
        return (self.table, self.cell_id)


@dataclass(frozen=True)
class Note:
    """A note to the head: a cell has begun (`outcome` is None) or ended."""

    cell_id: str
    where: str
    outcome: Outcome | None = None


@dataclass(frozen=True)
class Report:
    """What a worker did with a job."""

    where: str  # the worker's name; empty on the head's own machine
    outcomes: tuple[Outcome, ...] = ()
    refused: str = ""  # the reason why the worker may not run the job
    files: Files = field(default_factory=dict)  # the results, if the worker does not see the head's directory


def make_jobs(work: Work, machine: Machine, cells: Sequence[Cell], token: str, threads: int | None) -> list[Job]:
    """Make a job of each family of cells.

    Args:
        work: what a worker does with them.
        machine: how a worker runs searches.
        cells: those that are left, parents before their children.
        token: of the run.
        threads: of a job on the CPU; None leaves it to the worker.

    Raises:
        BenchError: a dataset is not prepared.
    """
    jobs, images = [], image_digests(cells)
    for family in families(cells):
        jobs.append(
            Job(
                cells=tuple(family),
                work=work,
                identities={cell.id: cell.identity for cell in family},
                machine=machine,
                versions=Versions.here(family),
                images=images,
                project=Path.cwd(),
                token=token,
                threads=threads,
            )
        )
    return jobs


def read_results(directories: Iterable[Path]) -> Files:
    """Read the files in those of cells' directories that exist, by directory and name."""
    return {
        str(directory): {file.name: file.read_bytes() for file in directory.iterdir() if file.is_file()}
        for directory in directories
        if directory.is_dir()
    }


def write_results(results: Files) -> None:
    """Write the files of cells' directories, each directory whole or not at all.

    Raises:
        BenchError: one cannot be written.
    """
    for directory, files in results.items():
        with replaced(Path(directory)) as temporary:
            for name, content in files.items():
                (temporary / name).write_bytes(content)
