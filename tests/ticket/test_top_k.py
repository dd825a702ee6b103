"""Law 2: selection keeps exactly the asked number; a naive sort is the reference."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from slt_bench.ticket.top_k import Diverged, TopK, keep_unseen


def keep_largest(scores: Tensor, count: int, by_magnitude: bool = True) -> Tensor:
    return TopK().keep(scores, count, torch.empty_like(scores, dtype=torch.bool), by_magnitude)


def naive(scores: Tensor, count: int, by_magnitude: bool = True) -> Tensor:
    mask = torch.zeros(len(scores), dtype=torch.bool)
    mask[torch.sort(scores.abs() if by_magnitude else scores, descending=True, stable=True).indices[:count]] = True
    return mask


def both_ways_agree(scores: Tensor, count: int) -> None:
    """The way that looks and the one that a GPU goes."""
    for by_magnitude in (True, False):
        expected = naive(scores, count, by_magnitude)
        assert torch.equal(keep_largest(scores, count, by_magnitude=by_magnitude), expected)
        assert torch.equal(keep_unseen(scores, count, torch.empty_like(expected), by_magnitude), expected)


@given(st.lists(st.floats(-8, 8, width=32), max_size=200), st.data())
@settings(max_examples=300, deadline=None)
def test_agrees_with_a_sort(values: list[float], data: st.DataObject) -> None:
    scores = torch.tensor(values, dtype=torch.float32)
    both_ways_agree(scores, data.draw(st.integers(0, len(values))))


@given(st.lists(st.sampled_from([0.0, -0.0, 1.0, -1.0, 1.0000001]), min_size=1, max_size=100), st.data())
@settings(max_examples=200, deadline=None)
def test_ties_go_to_the_lower_index(values: list[float], data: st.DataObject) -> None:
    scores = torch.tensor(values, dtype=torch.float32)
    both_ways_agree(scores, data.draw(st.integers(0, len(values))))


def test_a_choice_depends_on_no_choice_before() -> None:
    generator = torch.Generator().manual_seed(0)
    mask, top_k = torch.empty(5003, dtype=torch.bool), TopK()
    for count in (0, 5, 2500, 2510, 4000, 5002, 17):
        for by_magnitude in (True, False):
            scores = torch.randn(5003, generator=generator).round(decimals=1)
            assert top_k.keep(scores, count, mask, by_magnitude) is mask
            assert torch.equal(mask, naive(scores, count, by_magnitude))


@pytest.mark.parametrize("start", [0, 100, 104])
def test_a_part_of_a_longer_vector(start: int) -> None:
    """On and off a word's boundary; nothing beside it is written."""
    scores, mask = torch.randn(300, generator=torch.Generator().manual_seed(1)), torch.ones(300, dtype=torch.bool)
    part = slice(start, start + 103)
    assert torch.equal(TopK().keep(scores[part], 30, mask[part]), naive(scores[part], 30))
    assert bool(mask[: part.start].all()) and bool(mask[part.stop :].all())


def test_scores_that_move_little_need_no_selection_over_all(monkeypatch: pytest.MonkeyPatch) -> None:
    over_all, partition = list[int](), np.partition

    def counted(values: NDArray[np.float32], k: int) -> NDArray[np.float32]:
        over_all.append(len(values))
        return partition(values, k)

    monkeypatch.setattr(np, "partition", counted)
    scores, mask, top_k = torch.randn(20_000, generator=torch.Generator().manual_seed(2)), torch.empty(20_000).bool(), TopK()
    for step in range(12):
        assert torch.equal(top_k.keep(scores, 9_000, mask), naive(scores, 9_000))
        scores *= 1.0001 if step < 6 else 0.9999
    assert len(over_all) == 1, "the first choice"
    scores *= 5
    assert torch.equal(top_k.keep(scores, 9_000, mask), naive(scores, 9_000)) and len(over_all) == 2


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_any_number_of_threads(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    scores = torch.randn(2_000_003, generator=torch.Generator().manual_seed(3)).round(decimals=3)
    top_k, mask = TopK(), torch.empty(len(scores), dtype=torch.bool)
    for count in (1_000_000, 1_000_100, 999_000):
        assert torch.equal(top_k.keep(scores, count, mask), naive(scores, count))


def test_large() -> None:
    scores = torch.randn(300_000, generator=torch.Generator().manual_seed(0))
    for count in (0, 1, 150_000, 299_999, 300_000):
        both_ways_agree(scores, count)


@pytest.mark.slow
@pytest.mark.parametrize("share", [1e-4, 0.5, 0.9])
def test_as_large_as_resnet50(share: float) -> None:
    """With many ties at the threshold."""
    scores = (torch.randn(25_502_912, generator=torch.Generator().manual_seed(0)) * 1e4).round()
    count = round(share * len(scores))
    for by_magnitude in (True, False):
        mask = torch.empty(len(scores), dtype=torch.bool)
        assert torch.equal(
            keep_unseen(scores, count, mask, by_magnitude), keep_largest(scores, count, by_magnitude=by_magnitude)
        )


@given(st.lists(st.sampled_from([1.0, -2.0, 2.0, float("inf"), float("-inf")]), min_size=1, max_size=50), st.data())
@settings(max_examples=100, deadline=None)
def test_the_way_that_does_not_look_takes_infinities_in_their_order(values: list[float], data: st.DataObject) -> None:
    """The loop looks for them at the end of an epoch."""
    scores, count = torch.tensor(values), data.draw(st.integers(0, len(values)))
    for by_magnitude in (True, False):
        mask = keep_unseen(scores, count, torch.empty(len(scores), dtype=torch.bool), by_magnitude)
        assert torch.equal(mask, naive(scores, count, by_magnitude))


@pytest.mark.parametrize("by_magnitude", [True, False])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_way_that_does_not_look_keeps_the_right_number_of_nans(by_magnitude: bool, sign: float) -> None:
    """By their bits they lie beyond the infinities: by magnitude first, by value at the end that their sign says."""
    nan = torch.tensor(float("nan")).copysign(torch.tensor(sign)).item()
    scores = torch.tensor([1.0, nan, float("inf"), nan])
    mask = keep_unseen(scores, 2, torch.empty(4, dtype=torch.bool), by_magnitude)
    assert mask.tolist() == ([True, False, True, False] if sign < 0 and not by_magnitude else [False, True, False, True])


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
