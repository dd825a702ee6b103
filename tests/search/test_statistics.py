"""Statistics of a search against naive counts."""

import pytest
import torch

from slt_bench.search.steps.mask_statistics import MaskStatistics, magnitude_quantiles


def test_dying_edges_and_churn() -> None:
    masks = torch.rand(7, 1000, generator=torch.Generator().manual_seed(0)) < 0.3
    statistics = MaskStatistics(1000)
    for mask in masks:
        statistics.see(mask)
    assert statistics.dying_edge_ratio == pytest.approx(float((~masks.any(0)).float().mean()))
    assert statistics.churn(masks[0]) == pytest.approx(float(masks[0].float().mean()))  # from the empty mask
    assert statistics.churn(masks[1]) == pytest.approx(float((masks[0] ^ masks[1]).float().mean()))
    assert statistics.churn(masks[1]) == 0.0


def test_no_free_edge() -> None:
    statistics = MaskStatistics(0)
    assert statistics.dying_edge_ratio == statistics.churn(torch.zeros(0, dtype=torch.bool)) == 0.0
    assert magnitude_quantiles(torch.zeros(0), [50]) == [0.0]


@pytest.mark.parametrize("power", [-20, 0, 5])
def test_quantiles_are_within_four_thousandths(power: int) -> None:
    values = torch.randn(100_001, generator=torch.Generator().manual_seed(0)) * 10.0**power
    percents = [1, 5, 25, 50, 75, 95, 99, 100]
    expected = torch.quantile(values.abs(), torch.tensor(percents) / 100).tolist()
    assert magnitude_quantiles(values, percents) == pytest.approx(expected, rel=0.004)


def test_closed_edges_are_left_out_of_the_quantiles() -> None:
    values = torch.cat([torch.zeros(900), torch.full((100,), -2.0)])
    assert magnitude_quantiles(values, [5, 95]) == pytest.approx([2.0, 2.0], rel=0.004)
    assert magnitude_quantiles(torch.zeros(5), [5, 95]) == [0.0, 0.0]
