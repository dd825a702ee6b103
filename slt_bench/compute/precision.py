"""Number formats: what a search computes with, and the guarantee that float32 is float32."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from slt_bench.params.recipes import Recipe


@contextmanager
def exact_float32() -> Iterator[None]:
    """Multiply float32 as float32 in the block, on every device.

    On GPUs torch's convolutions would otherwise round their inputs to TF32, with 10 bits in place of 23.
    """
    backends: list[Any] = [torch.backends.cudnn, torch.backends.cuda.matmul]
    earlier = [backend.allow_tf32 for backend in backends]
    for backend in backends:
        backend.allow_tf32 = False
    try:
        yield
    finally:
        for backend, allowed in zip(backends, earlier, strict=True):
            backend.allow_tf32 = allowed


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
