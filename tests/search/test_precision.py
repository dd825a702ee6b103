"""What numbers a search computes with, and the kernels that give equal bits."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from slt_bench.compute.precision import deterministic_kernels, precision, precision_name, reproducible, rounds_to_tf32
from slt_bench.params.recipes import Recipe

CPU = torch.device("cpu")


def recipe(name: Any) -> Recipe:
    return Recipe(epochs=1, batch_size=2, learning_rate=0.1, precision=name)


@pytest.mark.parametrize("tf32", [True, False])
def test_tf32_is_what_was_asked_for_and_put_back(tf32: bool) -> None:
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    with reproducible(tf32):
        assert rounds_to_tf32() is tf32
        assert torch.backends.cudnn.allow_tf32 is torch.backends.cuda.matmul.allow_tf32 is tf32
    assert before == (torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32)


def test_a_cpu_computes_float32_where_tf32_is_asked_for_and_says_so() -> None:
    dtype = precision(recipe("tf32"), CPU)
    assert dtype == torch.float32
    with reproducible(tf32=True):
        assert precision_name(dtype) == "float32"
    assert precision_name(torch.bfloat16) == "bfloat16"


def test_a_gpu_says_tf32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with reproducible(tf32=True):
        assert precision_name(torch.float32) == "tf32" and torch.are_deterministic_algorithms_enabled()
    with reproducible():
        assert precision_name(torch.float32) == "float32"
    assert not torch.are_deterministic_algorithms_enabled()


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
