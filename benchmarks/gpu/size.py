"""How large the trials on a device are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from benchmarks.steps import Case
from slt_bench.params.searches import BUILT_IN

SEARCHES: dict[str, dict[str, Any]] = {kind: {} for kind in BUILT_IN} | {
    "iterative-edge-popup": {"iterations": 3, "space": "hard"}, "iterand": {"every": 5},
}  # fmt: skip


@dataclass(frozen=True)
class Size:
    """How large the trials are."""

    cases: dict[str, Case]  # by what tables call them; the first word is what docs/scale.md's model goes by
    selections: tuple[int, ...]  # numbers of scores
    rounds: int
    searches: tuple[str, ...]
    fast_formats: tuple[str, ...]  # number formats in which a device is fast


FULL = Size(
    {"Conv6, batch 128": Case("conv6", 128), "ResNet-18, batch 128": Case("resnet18", 128),
     "ResNet-50, 224 px, batch 256": Case("resnet50", 256, 224)},
    (2_261_184, 11_164_352, 25_502_912), 20,
    tuple(SEARCHES), ("tf32", "bfloat16"),
)  # fmt: skip
SMALL = Size({"Conv2, batch 4": Case("conv2", 4, width=0.125)}, (1_000,), 2, ("edge-popup",), ("bfloat16",))
