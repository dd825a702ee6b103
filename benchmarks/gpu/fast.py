"""How fast a device is: steps, what the host does meanwhile, memory, images, several searches at a time."""

from __future__ import annotations

import gc
import subprocess
import sys
from dataclasses import replace

import torch

from benchmarks.gpu.loaders import rates
from benchmarks.gpu.notebook import Finding
from benchmarks.gpu.size import SMALL, Size
from benchmarks.gpu.timing import ON_GPU, as_in_a_search, host_milliseconds, host_waits, milliseconds_a_row
from benchmarks.steps import search_step, weight_training_step
from slt_bench.params.searches import search_class

PRECISIONS = ("float32", "tf32", "bfloat16")


def steps(size: Size) -> Finding:
    """A step of edge-popup beside one of weight training."""
    rows = []
    training_search = search_class("weight-training")(kind="weight-training")
    for name, case in size.cases.items():
        for precision in PRECISIONS:
            this = replace(case, precision=precision)
            with as_in_a_search(precision):
                rounds = size.rounds if case.image == 32 else max(2, size.rounds // 3)
                torch_training = milliseconds_a_row(weight_training_step(this), rounds)
                training = milliseconds_a_row(search_step(this, training_search, graphs=True)[0], rounds)
                one_by_one = milliseconds_a_row(search_step(this)[0], rounds)
                recorded = milliseconds_a_row(search_step(this, graphs=True)[0], rounds)
            rows.append([name, precision, *(f"{t:.2f}" for t in (torch_training, training, one_by_one, recorded)),
                         f"{recorded / torch_training:.2f}", f"{recorded / training:.2f}",
                         f"{1e3 * case.batch / recorded:,.0f}"])  # fmt: skip
            _forget()
    columns = ["network", "precision", "training, torch", "training, recorded", "search, one by one", "search, recorded",
               "search / training, torch", "search / training, recorded", "images a second"]  # fmt: skip
    notes = ["Training, torch: the plain module with torch's own SGD and autocast, one kernel after another. Recorded: the "
             "step as one CUDA graph. All with deterministic kernels."]  # fmt: skip
    return Finding(columns, rows, notes)


def host(size: Size) -> Finding:
    """The time that the host needs for a step, how often it waits, and what equal bits cost."""
    rows = []
    for name, case in list(size.cases.items())[:2]:
        for precision in size.fast_formats:
            this = replace(case, precision=precision)
            with as_in_a_search(precision):
                one, _ = search_step(this)
                waits = host_waits(one) if ON_GPU else 0
                asked, took = host_milliseconds(one, size.rounds), milliseconds_a_row(one, size.rounds)
                graph = search_step(this, graphs=True)[0]
                recorded = milliseconds_a_row(graph, size.rounds)
                asked_recorded = host_milliseconds(graph, size.rounds)
            with as_in_a_search(precision, deterministic=False):
                free = milliseconds_a_row(search_step(this, graphs=True)[0], size.rounds)
            rows.append([name, precision, f"{asked:.2f}", waits, f"{took:.2f}", f"{asked_recorded:.2f}", f"{recorded:.2f}",
                         f"{took - recorded:.2f}", f"{free:.2f}", f"{recorded / free:.2f}"])  # fmt: skip
            _forget()
    columns = ["network", "precision", "host, one by one", "waits", "step, one by one", "host, recorded", "step, recorded",
               "lost to the host", "any kernels", "equal bits / any"]  # fmt: skip
    notes = ["Steps by the device's own clock. Lost to the host: what a step takes longer where each kernel is asked for. Any "
             "kernels: the first that cuDNN thinks of, without trials of which is fastest."]  # fmt: skip
    return Finding(columns, rows, notes)


def compiled(size: Size) -> Finding:
    """What torch.compile takes off a recorded step."""
    rows = []
    for name, case in size.cases.items():
        for precision in PRECISIONS:
            this = replace(case, precision=precision)
            with as_in_a_search(precision):
                rounds = size.rounds if case.image == 32 else max(2, size.rounds // 3)
                plain = milliseconds_a_row(search_step(this, graphs=True)[0], rounds)
                with_compiler = milliseconds_a_row(search_step(replace(this, compiled=True), graphs=True)[0], rounds)
            rows.append([name, precision, f"{plain:.2f}", f"{with_compiler:.2f}", f"{with_compiler / plain:.2f}"])
            _forget()
    return Finding(["network", "precision", "recorded", "compiled and recorded", "ratio"], rows)


def memory(size: Size) -> Finding:
    """The most memory of a step over the freezing ratio."""
    rows, (name, case) = [], list(size.cases.items())[-1]
    for what, ratio in (("training, torch", 0.0), ("search", 0.0), ("search", 0.5), ("search", 0.9)):
        this = replace(case, precision="bfloat16", freezing_ratio=ratio)
        _forget()
        if ON_GPU:
            torch.cuda.reset_peak_memory_stats()
        step = weight_training_step(this) if what.startswith("training") else search_step(this)[0]
        with as_in_a_search("bfloat16"):
            for _ in range(3):
                step()
        most = torch.cuda.max_memory_allocated() / 1e6 if ON_GPU else 0.0
        rows.append([name, what, f"{ratio:g}", f"{most:,.0f}"])
        del step
    return Finding(["network", "what", "frozen", "MB at most"], rows)


def side_by_side(size: Size) -> Finding:
    """Several searches of a small network on one device: steps a second of all together."""
    rows = []
    for processes, streams in ((1, 1), (4, 1), (1, 2), (1, 4), (1, 8)) if ON_GPU else ((1, 1), (1, 2)):
        command = [sys.executable, "-m", "benchmarks.gpu.side_by_side", str(streams), *(["small"] if size is SMALL else [])]
        running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(processes)]
        rates = [float(process.communicate()[0]) for process in running]
        rows.append([processes, streams, f"{sum(rates):,.0f}", f"{sum(rates) / processes / streams:,.0f}"])
    notes = ["Processes are those of `slt-bench run --jobs`; searches of one process have a stream each. ResNet-18 at a "
             "quarter of its width, batch 128, bfloat16."]  # fmt: skip
    return Finding(["processes", "searches in each", "steps a second, all", "each"], rows, notes)


def images(size: Size) -> Finding:
    """Images a second of the loaders, from the device's memory and from the file, and whether both give the same."""
    rows = [row for name in ("cifar10", "imagenette-64") for row in rates(name, size.rounds)]
    notes = ["imagenette-64: JPEGs, of which parts are cut out and resized to 64 pixels. Furthest: the largest difference of a "
             "number in ten batches from those of the file, crops and flips among it, in steps of 1 of 255."]  # fmt: skip
    return Finding(["images", "loader", "workers", "images a second", "furthest"], rows, notes)


def _forget() -> None:
    """Give memory back to the device."""
    gc.collect()
    if ON_GPU:
        torch.cuda.empty_cache()
