"""`python -m benchmarks.gpu`: every part that has not been done, then cells for the time that is left."""

from __future__ import annotations

from slt_bench.compute.memory import prepare_to_compute

prepare_to_compute()  # before torch is imported

import os
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NoReturn

import click
import torch

from benchmarks.gpu.cells import cells_in_order, run_cells
from benchmarks.gpu.notebook import Finding, Notebook
from benchmarks.gpu.parts import PARTS
from benchmarks.gpu.size import FULL, SMALL
from benchmarks.gpu.timing import ON_GPU, forget

MUST_HOLD = ("Laws on the device", "Selection")  # or no cell is run


@click.command()
@click.option("--minutes", type=click.FloatRange(min=0), default=30.0, help="For all together; cells get what is left.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("outputs/gpu"), help="Where findings are kept.")
@click.option("--small", is_flag=True, help="In small, to see that it runs; on a CPU too.")
@click.option("--only", multiple=True, type=click.Choice([*PARTS, "Cells"]), help="These parts alone, again.")
@click.option("--jobs", type=click.IntRange(min=1), default=1, help="Cells at a time.")
@click.option("--cells", type=click.IntRange(min=1), help="So many cells at most.")
def main(minutes: float, out: Path, small: bool, only: tuple[str, ...], jobs: int, cells: int | None) -> None:
    """Measure what a GPU gives, and run cells of a paper's table at its own budget."""
    if not ON_GPU and not small:
        raise click.ClickException("there is no CUDA device that torch can use; --small tries everything on a CPU")
    if small and "Cells" in only:
        raise click.ClickException("cells have a paper's budget: leave --small out")
    deadline, notebook = time.monotonic() + 60 * minutes, Notebook(out)
    parts: dict[str, Callable[[], Finding]] = {name: partial(part, SMALL if small else FULL) for name, part in PARTS.items()}
    if not small:
        parts["Cells"] = lambda: run_cells(cells_in_order()[:cells], (deadline - time.monotonic()) / 60, jobs)
    wanted = [name for name in parts if (name in only if only else name == "Cells" or not notebook.has(name))]
    for number, name in enumerate(wanted):
        if reason := _why_not(name, deadline, notebook):
            print(f"{name}: not done, {reason}", flush=True)
            continue
        finding = _found(parts[name])
        lost = _device_is_lost()  # whatever the part made of it
        finding.failed = finding.failed or ("the device was lost to the process" if lost else "")
        notebook.keep(name, finding)
        print(f"{name}: {'FAILED' if finding.failed else 'done'} in {finding.seconds} s", flush=True)
        if lost:
            _go_on_in_another_process(wanted[number + 1 :], (deadline - time.monotonic()) / 60, out, small, jobs, cells)
    print(f"wrote {out}/README.md and {out}/gpu.json")
    if failed := [name for name, finding in notebook.findings.items() if finding.failed]:
        raise click.ClickException(f"{', '.join(failed)} failed, as the page says; the same command tries again")


def _why_not(part: str, deadline: float, notebook: Notebook) -> str:
    """Say why a part is not done now; empty where it is."""
    if time.monotonic() > deadline:
        return "the time is over"
    broken = [name for name in MUST_HOLD if (finding := notebook.findings.get(name)) and finding.failed]
    return f"what it computes could not be believed: {', '.join(broken)} failed" if part == "Cells" and broken else ""


def _found(part: Callable[[], Finding]) -> Finding:
    """Do a part, by itself: an error is what it found."""
    started = time.monotonic()
    try:
        finding = part()
    except Exception as error:
        traceback.print_exc()
        finding = Finding(failed=f"{type(error).__name__}: {error}"[:500])
    with suppress(RuntimeError):  # where the device is lost
        forget()
    finding.seconds = round(time.monotonic() - started, 1)
    return finding


def _device_is_lost() -> bool:
    """Whether a fault has spoilt the device for this process: all that comes would fail too."""
    try:
        if ON_GPU:
            torch.cuda.synchronize()
    except RuntimeError:
        return True
    return False


def _go_on_in_another_process(
    rest: list[str], minutes: float, out: Path, small: bool, jobs: int, cells: int | None
) -> NoReturn:
    """Put another program, which gets the device anew, in the place of this one, for what is left."""
    if not rest:
        sys.exit(1)
    print("the device is lost to this process: another one goes on", flush=True)
    options = ["--minutes", f"{max(0.0, minutes):.2f}", "--out", str(out), "--jobs", str(jobs), *(["--small"] if small else [])]
    options += [*(["--cells", str(cells)] if cells else []), *(word for name in rest for word in ("--only", name))]
    os.execv(sys.executable, [sys.executable, "-m", "benchmarks.gpu", *options])


if __name__ == "__main__":
    main()
