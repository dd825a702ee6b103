"""Whether a device computes what it should: what is there, the laws of searches, the choice of edges."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from threading import Event, Thread

import torch
from torch import Tensor

from benchmarks.gpu.notebook import Finding
from benchmarks.gpu.size import SEARCHES, Size
from benchmarks.gpu.timing import ON_GPU, as_in_a_search, milliseconds, recorded
from benchmarks.steps import DEVICE, search_step
from slt_bench.laws.check import check_search
from slt_bench.params.searches import search_class
from slt_bench.records.provenance import environment as environment_of_records
from slt_bench.ticket.top_k import TopK

_PINNED = 2**20  # bytes


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
    broken = [f"{kind}: {law}" for kind, law, verdict, _ in rows if verdict == "BROKEN"]
    note = f"{len(rows)} laws of {len(size.searches)} searches were tried, {len(broken)} are broken."
    return Finding(["search", "law", "verdict", "what was tried"], rows, [note], ", ".join(broken))


def recording(size: Size) -> Finding:
    """Steps are recorded while other threads pin memory, as those of a loader do."""
    name, case = next(iter(size.cases.items()))
    failed = []
    with as_in_a_search(case.precision), _loader_at_work():
        for number in range(size.rounds):
            step, _ = search_step(case, graphs=True)
            try:
                for _ in range(5):
                    step()
            except RuntimeError as error:
                failed.append(f"recording {number}: {str(error).splitlines()[0]}")
    return Finding(["search", "recordings", "failed"], [[name, str(size.rounds), str(len(failed))]], failed=", ".join(failed))


@contextmanager
def _loader_at_work() -> Iterator[None]:
    """Threads that pin memory again and again."""
    stop = Event()

    def pin() -> None:
        memory = torch.empty(_PINNED, dtype=torch.uint8)
        while ON_GPU and not stop.is_set():
            torch.cuda.cudart().cudaHostRegister(memory.data_ptr(), _PINNED, 0)
            torch.cuda.cudart().cudaHostUnregister(memory.data_ptr())

    threads = [Thread(target=pin) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


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
                times = [f"{milliseconds(work, size.rounds):.3f}" for work in (half, recorded(half))]
            rows.append([f"{count:,}", kind, "yes" if equal else "NO", *times])
    unequal = [f"{count} {kind}" for count, kind, equal, *_ in rows if equal != "yes"]
    columns = ["scores", "kind", "equal to the CPU's", "one by one", "recorded"]
    return Finding(columns, rows, failed=f"another mask than the CPU's: {', '.join(unequal)}" if unequal else "")


def _kinds_of_scores(count: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    normal = torch.randn(count, generator=generator)
    return {"normal": normal, "ties": (3 * normal).round() / 3, "all equal": torch.ones(count), "tiny": normal * 1e-40}
