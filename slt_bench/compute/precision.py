"""Number formats: what a search computes with, and the guarantee that float32 is float32."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch

from slt_bench.params.recipes import Recipe


@contextmanager
def reproducible(tf32: bool = False) -> Iterator[None]:
    """Multiply float32 as float32 in the block, or as TF32, and compute the same bits each time, on every device.

    On GPUs torch's convolutions would otherwise round their inputs to TF32, with 10 bits in place of 23, whatever is asked
    for; and some kernels add up in the order in which threads happen to come. Where an operation has no other kernel, torch
    warns and names it.

    Args:
        tf32: whether float32 is rounded to TF32 before a multiplication, where the device does.
    """
    backends: list[Any] = [torch.backends.cudnn, torch.backends.cuda.matmul]
    earlier = [backend.allow_tf32 for backend in backends]
    for backend in backends:
        backend.allow_tf32 = tf32
    try:
        with deterministic_kernels() if torch.cuda.is_available() else nullcontext():
            yield
    finally:
        for backend, allowed in zip(backends, earlier, strict=True):
            backend.allow_tf32 = allowed


@contextmanager
def deterministic_kernels() -> Iterator[None]:
    """Use kernels in the block that give the same bits each time; for cuBLAS, `prepare_to_compute` has to have asked too."""
    cudnn: Any = torch.backends.cudnn
    memory: Any = torch.utils.deterministic
    earlier = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    fills, chosen = memory.fill_uninitialized_memory, (cudnn.deterministic, cudnn.benchmark)
    torch.use_deterministic_algorithms(True, warn_only=True)
    memory.fill_uninitialized_memory = False  # a pass over memory that is written anyway
    cudnn.deterministic, cudnn.benchmark = True, False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(earlier[0], warn_only=earlier[1])
        memory.fill_uninitialized_memory = fills
        cudnn.deterministic, cudnn.benchmark = chosen


def rounds_to_tf32() -> bool:
    """Whether some operation on a GPU would round float32 to TF32 now."""
    return bool(torch.backends.cudnn.allow_tf32 or torch.backends.cuda.matmul.allow_tf32)


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
    if dtype == torch.float32 and torch.cuda.is_available() and rounds_to_tf32():
        return "tf32"
    return str(dtype).removeprefix("torch.")
