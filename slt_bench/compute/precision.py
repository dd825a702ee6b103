"""Number formats: what a search computes with, and the guarantee that float32 is float32."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor

from slt_bench.params.recipes import Recipe

_NO_KERNEL = re.compile(r"(\S+) does not have a deterministic implementation")
_FIRST_WITH_TF32 = (8, 0)  # compute capability: Ampere
_CUDNN: Any = torch.backends.cudnn  # stubs lack what torch has had since 2.9
_MKLDNN: Any = torch.backends.mkldnn
_OF_GPUS: tuple[Any, ...] = (torch.backends.cuda.matmul, _CUDNN.conv, _CUDNN.rnn)
_OF_CPUS: tuple[Any, ...] = (_MKLDNN.matmul, _MKLDNN.conv, _MKLDNN.rnn)


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
    with _float32_as(tf32), deterministic_kernels() if torch.cuda.is_available() else nullcontext(set[str]()) as without:
        yield without


@contextmanager
def _float32_as(tf32: bool) -> Iterator[None]:
    """Set in the block what float32 is rounded to before a multiplication: on GPUs to TF32 or not at all, on CPUs not at all.

    Torch has two sets of switches for this, and refuses to read the older one where they disagree, as after a network of
    somebody's own has set the newer: both are set, the older first, since it sets a part of the newer.
    """
    whole, cudnn = _unless_mixed(torch.get_float32_matmul_precision), _unless_mixed(lambda: torch.backends.cudnn.allow_tf32)
    earlier = [backend.fp32_precision for backend in (*_OF_GPUS, *_OF_CPUS)]

    def put_switches(matmul: str | None, convolutions: bool | None, each: list[str]) -> None:
        if matmul is not None:
            torch.set_float32_matmul_precision(matmul)
        if convolutions is not None:
            torch.backends.cudnn.allow_tf32 = convolutions
        for backend, rounded in zip((*_OF_GPUS, *_OF_CPUS), each, strict=True):
            backend.fp32_precision = rounded

    of_gpus, of_cpus = ["tf32" if tf32 else "ieee"] * len(_OF_GPUS), ["ieee"] * len(_OF_CPUS)
    put_switches("high" if tf32 else "highest", tf32, of_gpus + of_cpus)
    try:
        yield
    finally:
        put_switches(whole, cudnn, earlier)


def _unless_mixed(switch: Callable[[], Any]) -> Any:
    """Read one of torch's older switches; None where the newer ones disagree, so that torch refuses to."""
    try:
        return switch()
    except RuntimeError:
        return None


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
        found = _NO_KERNEL.match(str(message))
        if found is None or found[1] not in without:  # which comes in every step
            show(message, *rest, **others)
        if found is not None:
            without.add(found[1])

    torch.use_deterministic_algorithms(True, warn_only=True)
    memory.fill_uninitialized_memory = False  # a pass over memory that is written anyway
    cudnn.deterministic, cudnn.benchmark = True, False
    try:
        with warnings.catch_warnings():
            # Else they are shown once in a process, and not at all where somebody has turned warnings off.
            warnings.filterwarnings("always", f".*{_NO_KERNEL.pattern}")
            warnings.showwarning = notice
            yield without
    finally:
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
    allowed = any(backend.fp32_precision == "tf32" for backend in _OF_GPUS)
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
