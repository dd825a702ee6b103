"""The most memory of some steps of ResNet-50 at batch 8: `python -m benchmarks.peak search` (or training)."""

from __future__ import annotations

from slt_bench.compute.memory import prepare_to_compute

prepare_to_compute()  # before torch is imported

import ctypes
import sys
from pathlib import Path
from typing import Any

import torch
from torch.nn.modules.module import register_module_forward_hook

from benchmarks.steps import Case, search_step, weight_training_step

_STEPS = 3


class _Allocated(ctypes.Structure):
    """What malloc tells of itself (mallinfo2 of glibc)."""

    _fields_ = [(name, ctypes.c_size_t) for name in (
        "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost",
    )]  # fmt: skip


def main() -> None:
    """Print MB in use at the largest moment of a forward pass, and MB that the process has had at most."""
    torch.set_num_threads(1)
    allocated: Any = ctypes.CDLL(None).mallinfo2
    allocated.restype = _Allocated
    largest = 0.0

    def look(*_: object) -> None:
        nonlocal largest
        now = allocated()
        largest = max(largest, (now.uordblks + now.hblkhd) / 1e6)

    case = Case("resnet50", 8, 224)
    step = search_step(case)[0] if sys.argv[1] == "search" else weight_training_step(case)
    register_module_forward_hook(look)
    for _ in range(_STEPS):
        step()
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text("utf-8").splitlines())
    print(f"{largest:.0f} {int(status['VmHWM'].split()[0]) * 1.024e-3:.0f}")


if __name__ == "__main__":
    main()
