"""Passes over flat vectors on a CPU: one loop in place of several of torch's operations, by as many threads as pay.

Torch reads and writes all of a vector once for each operation, and what a search does besides the forward and backward pass
is bound by memory (docs/performance.md). Every bit is that of torch's operations.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any, TypeVar

import torch
from torch import Tensor

T = TypeVar("T")
_A_THREAD = 1 << 19  # numbers that pay for one more thread


def are_compiled(vector: Tensor) -> bool:
    """Say whether passes over a vector are compiled: on a CPU."""
    return vector.device.type == "cpu"


def torch_fuses() -> bool:
    """Say whether torch is known to round a product and a sum at once, as compiled loops do: on x86 with AVX2 or later."""
    compiles = os.environ.get("NUMBA_DISABLE_JIT", "0") == "0"
    return compiles and torch.backends.cpu.get_cpu_capability().startswith("AVX")


def run(loop: Callable[..., None], vectors: tuple[Tensor, ...], *numbers: Any) -> None:
    """Call a compiled loop for all parts of vectors.

    Args:
        loop: takes a part of each vector, as an array, and the numbers.
        vectors: [n] each, on a CPU.
        numbers: the rest of the loop's arguments.

    Raises:
        ValueError: the vectors are not equally long; a compiled loop would read and write beyond the end.
    """
    arrays = [vector.detach().numpy() for vector in vectors]
    if len({array.shape for array in arrays}) > 1:
        raise ValueError(f"vectors of one pass must be equally long, not {[list(array.shape) for array in arrays]}")
    parts = cut(len(arrays[0]))
    in_threads(lambda number: loop(*(array[parts[number]] for array in arrays), *numbers), len(parts))


def cut(length: int, block: int = 1) -> list[slice]:
    """Cut a vector into a part for each thread that pays.

    Args:
        length: of the vector, 0 or more.
        block: each part but the last one is a multiple of it long, 1 or more.
    """
    blocks, parts = -(-length // block), min(torch.get_num_threads(), max(1, length // _A_THREAD))
    ends = [block * (blocks * part // parts) for part in range(parts)] + [length]
    return [slice(start, end) for start, end in pairwise(ends)]


def in_threads(work: Callable[[int], T], count: int) -> list[T]:
    """Call work(0) to work(count - 1), each in a thread of its own but the first; the results, in order."""
    if count == 1:
        return [work(0)]
    with ThreadPoolExecutor(count - 1) as threads:
        others = [threads.submit(work, number) for number in range(1, count)]
        return [work(0), *(other.result() for other in others)]
