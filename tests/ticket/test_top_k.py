"""Law 2: selection keeps exactly the asked number; a naive sort is the reference."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from slt_bench.ticket.top_k import Diverged, keep_largest


def naive(scores: Tensor, count: int, by_magnitude: bool = True) -> Tensor:
    mask = torch.zeros(len(scores), dtype=torch.bool)
    mask[torch.sort(scores.abs() if by_magnitude else scores, descending=True, stable=True).indices[:count]] = True
    return mask


@given(st.lists(st.floats(-8, 8, width=32), max_size=200), st.data())
@settings(max_examples=300, deadline=None)
def test_agrees_with_a_sort(values: list[float], data: st.DataObject) -> None:
    scores = torch.tensor(values, dtype=torch.float32)
    count = data.draw(st.integers(0, len(values)))
    for by_magnitude in (True, False):
        assert torch.equal(keep_largest(scores, count, by_magnitude=by_magnitude), naive(scores, count, by_magnitude))


@given(st.lists(st.sampled_from([0.0, -0.0, 1.0, -1.0, 1.0000001]), min_size=1, max_size=100), st.data())
@settings(max_examples=200, deadline=None)
def test_ties_go_to_the_lower_index(values: list[float], data: st.DataObject) -> None:
    scores = torch.tensor(values, dtype=torch.float32)
    count = data.draw(st.integers(0, len(values)))
    for by_magnitude in (True, False):
        assert torch.equal(keep_largest(scores, count, by_magnitude=by_magnitude), naive(scores, count, by_magnitude))


def test_memory_that_is_reused_holds_nothing_over() -> None:
    generator = torch.Generator().manual_seed(0)
    mask, upper = torch.empty(5003, dtype=torch.bool), torch.empty(5003, dtype=torch.int16)
    for count in (0, 5, 2500, 4000, 5002, 17):
        scores = torch.randn(5003, generator=generator).round(decimals=1)
        assert keep_largest(scores, count, mask, upper) is mask
        assert torch.equal(mask, naive(scores, count))
        for part in (slice(100, 203), slice(104, 203)):  # off and on a word's boundary
            assert torch.equal(keep_largest(scores[part], 30, mask[part], upper[part]), naive(scores[part], 30))


def test_large() -> None:
    scores = torch.randn(300_000, generator=torch.Generator().manual_seed(0))
    for count in (0, 1, 150_000, 299_999, 300_000):
        for by_magnitude in (True, False):
            assert torch.equal(keep_largest(scores, count, by_magnitude=by_magnitude), naive(scores, count, by_magnitude))


@pytest.mark.parametrize("by_magnitude", [True, False])
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_score_that_is_no_number_is_divergence(bad: float, count: int, by_magnitude: bool) -> None:
    with pytest.raises(Diverged):
        keep_largest(torch.tensor([1.0, bad, 2.0]), count, by_magnitude=by_magnitude)


def test_the_largest_numbers_are_none_of_these() -> None:
    largest = torch.finfo(torch.float32).max
    scores = torch.tensor([-largest, largest, 0.0])
    assert keep_largest(scores, 2, by_magnitude=False).tolist() == [False, True, True]
    assert keep_largest(scores, 2).tolist() == [True, True, False]


@pytest.mark.parametrize("count", [-1, 4])
def test_impossible_counts(count: int) -> None:
    with pytest.raises(ValueError, match="cannot keep"):
        keep_largest(torch.zeros(3), count)
