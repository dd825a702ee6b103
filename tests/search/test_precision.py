"""What numbers a search computes with, and the kernels that give equal bits."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from slt_bench.compute.precision import deterministic_kernels, precision, precision_name, reproducible, rounds_to_tf32
from slt_bench.experiment.cell import Cell
from slt_bench.params.recipes import Recipe
from tests.toys_networks import make_network

CPU = torch.device("cpu")


def recipe(name: Any) -> Recipe:
    return Recipe(epochs=1, batch_size=2, learning_rate=0.1, precision=name)


@pytest.mark.parametrize("tf32", [True, False])
def test_tf32_is_what_was_asked_for_and_put_back(tf32: bool) -> None:
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    with reproducible(tf32):
        assert torch.backends.cudnn.allow_tf32 is torch.backends.cuda.matmul.allow_tf32 is tf32
    assert before == (torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32)


def test_a_cpu_computes_float32_where_tf32_is_asked_for_and_says_so() -> None:
    dtype = precision(recipe("tf32"), CPU)
    assert dtype == torch.float32
    with reproducible(tf32=True):
        assert precision_name(dtype) == "float32"
    assert precision_name(torch.bfloat16) == "bfloat16"


@pytest.mark.parametrize(("capability", "name"), [((9, 0), "tf32"), ((8, 0), "tf32"), ((7, 5), "float32")])
def test_a_gpu_says_tf32_where_it_has_that(capability: tuple[int, int], name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
    with reproducible(tf32=True):
        assert precision_name(torch.float32) == name and rounds_to_tf32() is (name == "tf32")
        assert torch.are_deterministic_algorithms_enabled()
    with reproducible():
        assert precision_name(torch.float32) == "float32"
    assert not torch.are_deterministic_algorithms_enabled()


def test_operations_without_a_deterministic_kernel_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    show = lambda message, *_: told.append(str(message))  # noqa: E731
    monkeypatch.setattr(warnings, "showwarning", show)
    with deterministic_kernels() as without:
        torch.zeros(3).put_(torch.tensor([0]), torch.ones(1))
    assert without == {"put_"} and "put_ does not have a deterministic" in told[0] and warnings.showwarning is show


def test_they_are_named_again_in_every_search_of_a_process_and_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(warnings, "showwarning", lambda message, *_: told.append(str(message)))
    for turned_off in (False, False, True):
        with warnings.catch_warnings():
            monkeypatch.setattr(warnings, "showwarning", lambda message, *_: told.append(str(message)))
            warnings.simplefilter("ignore" if turned_off else "default")
            with deterministic_kernels() as without:
                for _ in range(3):
                    torch.zeros(3).put_(torch.tensor([0]), torch.ones(1))
        assert without == {"put_"}
    assert len(told) == 3


_SWITCHES = (
    "torch.backends.cuda.matmul.fp32_precision = 'tf32'",
    "torch.backends.cudnn.conv.fp32_precision = 'ieee'",
    "torch.backends.fp32_precision = 'ieee'",
    "torch.set_float32_matmul_precision('medium')",
    "torch.backends.cudnn.allow_tf32 = False",
)


@pytest.mark.slow
@pytest.mark.parametrize("switch", _SWITCHES)
def test_whatever_a_network_of_ones_own_has_switched(switch: str) -> None:
    """In a process of its own, since torch's newer switches cannot all be put back."""
    code = f"""
import torch
from slt_bench.compute.precision import reproducible, rounds_to_tf32
{switch}
each = [torch.backends.cuda.matmul, torch.backends.cudnn.conv, torch.backends.mkldnn.matmul, torch.backends.mkldnn.conv]
before = [backend.fp32_precision for backend in each]
for tf32 in (False, True):
    with reproducible(tf32):
        gpu = "tf32" if tf32 else "ieee"
        assert [backend.fp32_precision for backend in each] == [gpu, gpu, "ieee", "ieee"]
        assert torch.get_float32_matmul_precision() == ("high" if tf32 else "highest")  # as torch.compile asks
        assert torch.backends.cudnn.allow_tf32 is tf32
    assert [backend.fp32_precision for backend in each] == before
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_edges_are_put_in_place_without_sorting_them() -> None:
    """Among deterministic kernels a GPU would sort all places, in every step."""
    network, seen = make_network("frozen", "dynamic"), []

    class Scatters(TorchDispatchMode):
        def __init__(self) -> None:
            TorchDispatchMode.__init__(self)

        def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), options: Any = None) -> Any:
            if "scatter" in str(function):
                seen.append(torch.get_deterministic_debug_mode())
            return function(*arguments, **(options or {}))

    with deterministic_kernels(), Scatters():
        network.compose()
        assert torch.get_deterministic_debug_mode() == 1
    assert seen and set(seen) == {0}


def test_deterministic_kernels_are_put_back_as_they_were() -> None:
    memory: Any = torch.utils.deterministic
    filled = memory.fill_uninitialized_memory
    with pytest.raises(KeyError), deterministic_kernels():
        assert torch.are_deterministic_algorithms_enabled() and torch.backends.cudnn.deterministic
        assert not memory.fill_uninitialized_memory
        raise KeyError
    assert not torch.are_deterministic_algorithms_enabled() and not torch.backends.cudnn.deterministic
    assert memory.fill_uninitialized_memory == filled


def test_precision_changes_the_identity_only_where_it_is_named(make_cell: Callable[..., Cell]) -> None:
    plain, named, other = (make_cell(recipe=changes) for changes in ({}, {"precision": "float32"}, {"precision": "tf32"}))
    assert plain.identity == named.identity != other.identity
