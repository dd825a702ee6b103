"""Number formats: what a search computes with, and the guarantee that float32 is float32."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor

from slt_bench.params.recipes import Recipe

_NO_KERNEL = re.compile(r"(\S+) does not have a deterministic implementation")
_FIRST_WITH_TF32 = (8, 0)  # compute capability: Ampere


@contextmanager
def reproducible(tf32: bool = False) -> Iterator[set[str]]:
    """Multiply float32 as float32 in the block, or as TF32, and compute the same bits each time, on every device.

    On GPUs torch's convolutions would otherwise round their inputs to TF32, with 10 bits in place of 23, whatever is asked
    for; and some kernels add up in the order in which threads happen to come.

    Args:
        tf32: whether float32 is rounded to TF32 before a multiplication, where the device does.

    Yields:
        The operations that had no other kernel, as torch names them, from when they come.
    """
    backends: list[Any] = [torch.backends.cudnn, torch.backends.cuda.matmul]
    earlier = [backend.allow_tf32 for backend in backends]
    for backend in backends:
        backend.allow_tf32 = tf32
    try:
        with deterministic_kernels() if torch.cuda.is_available() else nullcontext(set[str]()) as without:
            yield without
    finally:
        for backend, allowed in zip(backends, earlier, strict=True):
            backend.allow_tf32 = allowed


@contextmanager
def deterministic_kernels() -> Iterator[set[str]]:
    """Use kernels in the block that give the same bits each time; for cuBLAS, `prepare_to_compute` has to have asked too.

    Yields:
        The operations that have none, as torch's warnings name them, from when they come.
    """
    cudnn: Any = torch.backends.cudnn
    memory: Any = torch.utils.deterministic
    earlier = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    fills, chosen = memory.fill_uninitialized_memory, (cudnn.deterministic, cudnn.benchmark)
    show, without = warnings.showwarning, set[str]()

    def notice(message: Warning | str, *rest: Any, **others: Any) -> None:
        if found := _NO_KERNEL.match(str(message)):
            without.add(found[1])
        show(message, *rest, **others)

    torch.use_deterministic_algorithms(True, warn_only=True)
    memory.fill_uninitialized_memory = False  # a pass over memory that is written anyway
    cudnn.deterministic, cudnn.benchmark = True, False
    warnings.showwarning = notice
    try:
        yield without
    finally:
        warnings.showwarning = show
        torch.use_deterministic_algorithms(earlier[0], warn_only=earlier[1])
        memory.fill_uninitialized_memory = fills
        cudnn.deterministic, cudnn.benchmark = chosen


def put(values: Tensor, places: Tensor, into: Tensor) -> None:
    """Write values at places that all differ, which gives the same bits by itself.

    Among deterministic kernels a GPU would sort the places first, in every step.

    Args:
        values: [n].
        places: int64[n], each once.
        into: the vector that is written to.
    """
    earlier = torch.get_deterministic_debug_mode()
    torch.set_deterministic_debug_mode("default")
    try:
        into.scatter_(0, places, values)
    finally:
        torch.set_deterministic_debug_mode(earlier)


def rounds_to_tf32() -> bool:
    """Whether some operation would round float32 to TF32 now: on a GPU of Ampere or later, unless that is off."""
    allowed = torch.backends.cudnn.allow_tf32 or torch.backends.cuda.matmul.allow_tf32
    return bool(allowed and torch.cuda.is_available() and torch.cuda.get_device_capability() >= _FIRST_WITH_TF32)


def precision(recipe: Recipe, device: torch.device) -> torch.dtype:
    """Choose the type that the forward and backward pass compute with; `fastest` goes by the device."""
    if recipe.precision != "fastest":
        return torch.bfloat16 if recipe.precision == "bfloat16" else torch.float32
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    fast = [getattr(torch.cpu, name, bool)() for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")]
    return torch.bfloat16 if any(fast) else torch.float32


def wants_compiling(recipe: Recipe, device: torch.device) -> bool:
    """Whether the network goes through torch.compile."""
    return recipe.compile == "always" or (recipe.compile == "gpu" and device.type == "cuda")


def precision_name(dtype: torch.dtype) -> str:
    """Name what multiplications compute with now, as the record of a search has it: float32, tf32 or bfloat16."""
    if dtype == torch.float32 and rounds_to_tf32():
        return "tf32"
    return str(dtype).removeprefix("torch.")
