"""What numbers a search computes with, and the kernels that give equal bits."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from slt_bench.compute.precision import deterministic_kernels, precision, precision_name, reproducible, rounds_to_tf32
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


def test_edges_are_put_in_place_without_sorting_them() -> None:
    """Among deterministic kernels a GPU would sort all places, in every step."""
    network, seen = make_network("frozen", "dynamic"), []

    class Scatters(TorchDispatchMode):
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


def test_precision_changes_the_identity_only_where_it_is_named(make_cell) -> None:
    plain, named, other = (make_cell(recipe=changes) for changes in ({}, {"precision": "float32"}, {"precision": "tf32"}))
    assert plain.identity == named.identity != other.identity
