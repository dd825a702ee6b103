"""The parts of a run on a GPU, each by itself: what is there, whether it computes what it should, and how fast."""

from __future__ import annotations

import gc
import subprocess
import sys
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchmarks.gpu.notebook import Finding
from benchmarks.gpu.timing import (
    ON_GPU,
    as_in_a_search,
    host_milliseconds,
    host_waits,
    milliseconds,
    milliseconds_a_row,
)
from benchmarks.steps import DEVICE, EDGE_POPUP, Case, search_step, weight_training_step
from slt_bench.laws.check import check_search
from slt_bench.params.searches import search_class
from slt_bench.records.provenance import environment as environment_of_records
from slt_bench.ticket.top_k import TopK

PRECISIONS = ("float32", "tf32", "bfloat16")
SEARCHES: dict[str, dict[str, Any]] = {
    "edge-popup": {}, "iterative-edge-popup": {"iterations": 3, "space": "hard"}, "weight-training": {}, "gem-miner": {},
    "biprop": {}, "bernoulli": {},
}  # fmt: skip


@dataclass(frozen=True)
class Size:
    """How large the trials are."""

    cases: dict[str, Case]
    selections: tuple[int, ...]  # numbers of scores
    rounds: int
    searches: tuple[str, ...]


FULL = Size(
    {"Conv6, batch 128": Case("conv6", 128), "ResNet-18, batch 128": Case("resnet18", 128),
     "ResNet-50, 224 px, batch 256": Case("resnet50", 256, 224)},
    (2_261_184, 11_164_352, 25_502_912), 20, tuple(SEARCHES),
)  # fmt: skip
SMALL = Size({"Conv2, batch 4": Case("conv2", 4, width=0.125)}, (1_000,), 2, ("edge-popup",))


def environment(size: Size) -> Finding:
    """Versions and hardware."""
    facts = environment_of_records()
    rows = [[name, str(value)] for name, value in facts.items() if name not in ("libraries", "tf32")]
    rows += [[name, value or "missing"] for name, value in facts["libraries"].items()]
    if ON_GPU:
        free, total = torch.cuda.mem_get_info()
        rows += [["memory", f"{free / 2**30:.0f} of {total / 2**30:.0f} GiB free"], ["CUDA", str(torch.version.cuda)]]
        rows += [["cuDNN", str(torch.backends.cudnn.version())]]
    return Finding(["what", "here"], rows)


def laws(size: Size) -> Finding:
    """The laws that hold on a CPU, on the device."""
    rows = []
    for kind in size.searches:
        search = search_class(kind)(kind=kind, **SEARCHES[kind])
        with as_in_a_search("float32"):
            verdicts = list(check_search(search, DEVICE))
        rows += [[kind, each.law, "holds" if each.holds else "BROKEN", each.detail] for each in verdicts]
    broken = sum(row[2] == "BROKEN" for row in rows)
    note = f"{len(rows)} laws of {len(size.searches)} searches were tried, {broken} are broken."
    return Finding(["search", "law", "verdict", "what was tried"], rows, [note])


def selection(size: Size) -> Finding:
    """The choice of the largest half: the same mask as on a CPU, and the time it takes."""
    rows = []
    for count in size.selections:
        for kind, scores in _kinds_of_scores(count).items():
            there, mask = scores.to(DEVICE), torch.empty(count, dtype=torch.bool, device=DEVICE)
            equal = all(
                torch.equal(TopK().keep(there, keep, mask, by).cpu(), TopK().keep(scores, keep, torch.empty(count).bool(), by))
                for keep in {0, 1, count // 10, count // 2, count - 1, count}
                for by in (True, False)
            )
            times = ["", ""]
            if kind == "normal":
                half = partial(TopK().keep, there, count // 2, mask)
                times = [f"{milliseconds(work, size.rounds):.3f}" for work in (half, _recorded(half))]
            rows.append([f"{count:,}", kind, "yes" if equal else "NO", *times])
    return Finding(["scores", "kind", "equal to the CPU's", "one by one", "recorded"], rows)


def _kinds_of_scores(count: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    normal = torch.randn(count, generator=generator)
    return {"normal": normal, "ties": (3 * normal).round() / 3, "all equal": torch.ones(count), "tiny": normal * 1e-40}


def _recorded(work: Any) -> Any:
    """Some work as a CUDA graph; as it is on a CPU."""
    if not ON_GPU:
        return work
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        work()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=stream):
        work()
    return graph.replay


def steps(size: Size) -> Finding:
    """A step of edge-popup beside one of weight training."""
    rows = []
    training_search = search_class("weight-training")(kind="weight-training")
    for name, case in size.cases.items():
        for precision in PRECISIONS:
            this = _with(case, precision=precision)
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
        for precision in PRECISIONS[1:]:
            this = _with(case, precision=precision)
            with as_in_a_search(precision):
                one, _ = search_step(this)
                waits = host_waits(one) if ON_GPU else 0
                asked = host_milliseconds(one, size.rounds)
                graph = search_step(this, graphs=True)[0]
                recorded = milliseconds_a_row(graph, size.rounds)
                asked_recorded = host_milliseconds(graph, size.rounds)
            with as_in_a_search(precision, deterministic=False):
                free = milliseconds_a_row(search_step(this, graphs=True)[0], size.rounds)
            rows.append([name, precision, f"{asked:.2f}", waits, f"{asked_recorded:.2f}", f"{recorded:.2f}", f"{free:.2f}",
                         f"{recorded / free:.2f}"])  # fmt: skip
            _forget()
    columns = ["network", "precision", "host, one by one", "waits", "host, recorded", "step, recorded", "any kernels",
               "equal bits / any"]  # fmt: skip
    return Finding(columns, rows)


def compiled(size: Size) -> Finding:
    """What torch.compile adds to a recorded step."""
    rows = []
    for name, case in list(size.cases.items())[:2]:
        for precision in PRECISIONS[1:]:
            this = _with(case, precision=precision)
            with as_in_a_search(precision):
                plain = milliseconds_a_row(search_step(this, graphs=True)[0], size.rounds)
                with_compiler = milliseconds_a_row(search_step(_with(this, compiled=True), graphs=True)[0], size.rounds)
            rows.append([name, precision, f"{plain:.2f}", f"{with_compiler:.2f}", f"{with_compiler / plain:.2f}"])
            _forget()
    return Finding(["network", "precision", "recorded", "compiled and recorded", "ratio"], rows)


def memory(size: Size) -> Finding:
    """The most memory of a step over the freezing ratio."""
    rows, (name, case) = [], list(size.cases.items())[-1]
    for what, ratio in (("training, torch", 0.0), ("search", 0.0), ("search", 0.5), ("search", 0.9)):
        this = _with(case, precision="bfloat16", freezing_ratio=ratio)
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
    """Batches a second of the loaders, from the device's memory and from the file."""
    from benchmarks.gpu.loaders import rates

    rows = [row for name in ("cifar10", "imagenette-64") for row in rates(name, size.rounds)]
    notes = ["imagenette-64: JPEGs, of which parts are cut out and resized to 64 pixels."]
    return Finding(["images", "loader", "workers", "images a second"], rows, notes)


def _with(case: Case, **changes: Any) -> Case:
    from dataclasses import replace

    return replace(case, **changes)


def _forget() -> None:
    """Give memory back to the device."""
    gc.collect()
    if ON_GPU:
        torch.cuda.empty_cache()


PARTS = {
    "Environment": environment, "Laws on the device": laws, "Selection": selection, "Steps": steps, "Host and equal bits": host,
    "Memory": memory, "Images": images, "Searches side by side": side_by_side, "torch.compile": compiled,
}  # fmt: skip
__all__ = ["EDGE_POPUP", "FULL", "PARTS", "SMALL", "Size"]
