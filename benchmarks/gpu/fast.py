"""How fast a device is: steps, what the host does meanwhile, memory, images, several searches at a time."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from benchmarks.gpu.loaders import rates
from benchmarks.gpu.notebook import Finding
from benchmarks.gpu.size import SMALL, Size
from benchmarks.gpu.timing import ON_GPU, as_in_a_search, forget, host_milliseconds, host_waits, milliseconds_a_row
from benchmarks.steps import EDGE_POPUP, Case, search_step, weight_training_step
from slt_bench.params.searches import search_class
from slt_bench.search.methods.contract import Search

Tries = Mapping[Any, Callable[[], list[Any]]]  # by the first entries of their rows, a tuple
PRECISIONS = ("float32", "tf32", "bfloat16")
TRAINING = search_class("weight-training")(kind="weight-training")


def in_turn(columns: list[str], tries: Tries, notes: list[str]) -> Finding:
    """Make a row of each try, by itself: one that fails, as for want of memory, takes no other with it.

    Args:
        columns: names, those of the key first.
        tries: the first entries of a row -> what gives the others.
        notes: below the table.
    """
    finding = Finding(columns, notes=notes)
    for key, measure in tries.items():
        try:
            forget()
            finding.rows.append([*key, *measure()])
        except Exception as error:  # whatever a device has to say
            reason = f"{type(error).__name__}: {str(error).partition(chr(10))[0][:200]}"
            finding.rows.append([*key, *[""] * (len(columns) - len(key))])
            finding.failed += f"{'; ' if finding.failed else ''}{', '.join(key)}: {reason}"
    return finding


def rounds(size: Size, case: Case) -> int:
    """How often a step is done: of large images less often."""
    return size.rounds if case.image == 32 else max(2, size.rounds // 3)


def steps(size: Size) -> Finding:
    """A step of edge-popup beside one of weight training."""

    def measure(case: Case) -> list[Any]:
        with as_in_a_search(case.precision):
            times = rounds(size, case)
            torch_training = milliseconds_a_row(weight_training_step(case), times)
            training = milliseconds_a_row(search_step(case, TRAINING, graphs=True)[0], times)
            one_by_one = milliseconds_a_row(search_step(case)[0], times)
            recorded = milliseconds_a_row(search_step(case, graphs=True)[0], times)
        return [*(f"{t:.2f}" for t in (torch_training, training, one_by_one, recorded)), f"{recorded / torch_training:.2f}",
                f"{recorded / training:.2f}", f"{1e3 * case.batch / recorded:,.0f}"]  # fmt: skip

    columns = ["network", "precision", "training, torch", "training, recorded", "search, one by one", "search, recorded",
               "search / training, torch", "search / training, recorded", "images a second"]  # fmt: skip
    notes = ["Training, torch: the plain module with torch's own SGD and autocast, one kernel after another. Recorded: the "
             "step as one CUDA graph. All with deterministic kernels. Conv6 has no batch norms, as the paper's."]  # fmt: skip
    return in_turn(columns, {key: partial(measure, case) for key, case in _cases(size).items()}, notes)


def host(size: Size) -> Finding:
    """The time that the host needs for a step, how often it waits, and what equal bits cost."""

    def measure(case: Case) -> list[Any]:
        with as_in_a_search(case.precision):
            one, _ = search_step(case)
            waits = host_waits(one) if ON_GPU else 0
            asked, took = host_milliseconds(one, size.rounds), milliseconds_a_row(one, size.rounds)
            graph = search_step(case, graphs=True)[0]
            recorded = milliseconds_a_row(graph, size.rounds)
            asked_recorded = host_milliseconds(graph, size.rounds)
        with as_in_a_search(case.precision, deterministic=False):
            free = milliseconds_a_row(search_step(case, graphs=True)[0], size.rounds)
        return [f"{asked:.2f}", waits, f"{took:.2f}", f"{asked_recorded:.2f}", f"{recorded:.2f}", f"{took - recorded:.2f}",
                f"{free:.2f}", f"{recorded / free:.2f}"]  # fmt: skip

    columns = ["network", "precision", "frozen", "host, one by one", "waits", "step, one by one", "host, recorded",
               "step, recorded", "lost to the host", "any kernels", "equal bits / any"]  # fmt: skip
    notes = ["Steps by the device's own clock. Lost to the host: what a step takes longer where each kernel is asked for. Any "
             "kernels: the first that cuDNN thinks of, without trials of which is fastest."]  # fmt: skip
    tries = {
        (name, precision, f"{ratio:g}"): partial(measure, replace(case, precision=precision, freezing_ratio=ratio))
        for name, case in list(size.cases.items())[:2]
        for precision in size.fast_formats
        for ratio in (0.0, 0.5)
    }
    return in_turn(columns, tries, notes)


def compiled(size: Size) -> Finding:
    """What torch.compile takes off a recorded step of a search, and off one of training."""

    def measure(case: Case) -> list[Any]:
        times = []
        with as_in_a_search(case.precision):
            for search in (EDGE_POPUP, TRAINING):
                for this in (case, replace(case, compiled=True)):
                    times.append(milliseconds_a_row(search_step(this, search, graphs=True)[0], rounds(size, case)))
                    forget()
        return [*(f"{t:.2f}" for t in times), f"{times[1] / times[0]:.2f}", f"{times[1] / times[3]:.2f}"]

    columns = ["network", "precision", "search", "search, compiled", "training", "training, compiled", "compiled / not",
               "search / training, compiled"]  # fmt: skip
    tries = {key: partial(measure, case) for key, case in _cases(size, size.fast_formats).items()}  # compiling takes minutes
    return in_turn(columns, tries, ["All recorded, the training too, which is this package's."])


def memory(size: Size) -> Finding:
    """The most memory of a step over the freezing ratio."""
    name, case = list(size.cases.items())[-1]

    def measure(frozen: float, search: Search | None, graphs: bool) -> list[Any]:
        this = replace(case, precision="bfloat16", freezing_ratio=frozen)
        if ON_GPU:
            torch.cuda.reset_peak_memory_stats()
        with as_in_a_search(this.precision):
            step = weight_training_step(this) if search is None else search_step(this, search, graphs)[0]
            for _ in range(6):  # of which the first are not recorded
                step()
        return [f"{torch.cuda.max_memory_allocated() / 1e6 if ON_GPU else 0.0:,.0f}"]

    tries = {(name, "training, torch", "0"): partial(measure, 0.0, None, False),
             (name, "training, recorded", "0"): partial(measure, 0.0, TRAINING, True)}  # fmt: skip
    for what, graphs in (("search, one by one", False), ("search, recorded", True)):
        tries |= {(name, what, f"{frozen:g}"): partial(measure, frozen, EDGE_POPUP, graphs) for frozen in (0.0, 0.5, 0.9)}
    return in_turn(["network", "what", "frozen", "MB at most"], tries, [])


def side_by_side(size: Size) -> Finding:
    """Several searches of a small network on one device: steps a second of all together."""

    def measure(processes: int, streams: int) -> list[Any]:
        command = [sys.executable, "-m", "benchmarks.gpu.side_by_side", str(streams), *(["small"] if size is SMALL else [])]
        running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(processes)]
        try:
            told = [process.communicate()[0] for process in running]
        finally:  # none is left at work beside the parts that follow
            for process in running:
                process.kill()
                process.wait()
        if failed := [process.returncode for process in running if process.returncode]:
            raise RuntimeError(f"of {processes} processes {len(failed)} failed, with status {failed[0]}")
        rates = [float(text) for text in told]
        return [f"{sum(rates):,.0f}", f"{sum(rates) / processes / streams:,.0f}"]

    together = ((1, 1), (4, 1), (1, 2), (1, 4), (1, 8)) if ON_GPU else ((1, 1), (1, 2))
    tries = {(str(one), str(two)): partial(measure, one, two) for one, two in together}
    notes = ["Processes are those of `slt-bench run --jobs`; searches of one process have a stream each. ResNet-18 at a "
             "quarter of its width, batch 128, bfloat16."]  # fmt: skip
    return in_turn(["processes", "searches in each", "steps a second, all", "each"], tries, notes)


def images(size: Size) -> Finding:
    """Images a second of the loaders, from the device's memory and from the file, alone and with steps of a search."""
    first, second = (Case("conv2", 4, width=0.125),) * 2 if size is SMALL else (Case("conv6", 128), Case("resnet18", 128, 64))
    rows = [row for name, case in (("cifar10", first), ("imagenette-64", second)) for row in rates(name, case, size.rounds)]
    notes = ["imagenette-64: JPEGs, of which parts are cut out and resized to 64 pixels. With steps: of Conv6, or of ResNet-18 "
             "with the ImageNet stem, in bfloat16, recorded. Furthest: the largest difference of a number in ten batches from "
             "those of the file, crops and flips among it, in steps of 1 of 255."]  # fmt: skip
    far = [f"{name}: {furthest} of 255 from the file's" for name, *_, furthest in rows if furthest and float(furthest) > 1]
    return Finding(["images", "loader", "workers", "images a second", "with steps", "furthest"], rows, notes, "; ".join(far))


def _cases(size: Size, precisions: tuple[str, ...] = PRECISIONS) -> dict[tuple[str, ...], Case]:
    """All networks in some number formats."""
    keys = [(name, precision) for name in size.cases for precision in precisions]
    return {(name, precision): replace(size.cases[name], precision=precision) for name, precision in keys}
