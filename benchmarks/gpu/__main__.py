"""`python -m benchmarks.gpu`: every part that has not been done, then cells for the time that is left."""

from __future__ import annotations

from slt_bench.compute.memory import prepare_to_compute

prepare_to_compute()  # before torch is imported

import time
import traceback
from pathlib import Path

import click

from benchmarks.gpu.cells import cells_in_order, run_cells
from benchmarks.gpu.notebook import Finding, Notebook
from benchmarks.gpu.parts import PARTS
from benchmarks.gpu.size import FULL, SMALL
from benchmarks.gpu.timing import ON_GPU


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
    deadline, notebook = time.monotonic() + 60 * minutes, Notebook(out)
    for name, part in PARTS.items():
        if (name not in only) if only else notebook.has(name):
            continue
        started = time.monotonic()
        try:
            finding = part(SMALL if small else FULL)
        except Exception as error:  # each part by itself
            traceback.print_exc()
            finding = Finding(failed=f"{type(error).__name__}: {error}"[:500])
        finding.seconds = round(time.monotonic() - started, 1)
        notebook.keep(name, finding)
        print(f"{name}: {'FAILED' if finding.failed else 'done'} in {finding.seconds} s", flush=True)
    if "Cells" in only or not only:
        left = (deadline - time.monotonic()) / 60
        if left > 0 and not small:
            notebook.keep("Cells", run_cells(cells_in_order()[:cells], left, jobs))
    print(f"wrote {out}/README.md and {out}/gpu.json")


if __name__ == "__main__":
    main()
