"""A pass over flat vectors gives the bits of torch's operations, whatever the numbers, the length and the threads."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

from slt_bench.compute import passes
from slt_bench.compute.pass_loops import descend, keep_masked, times_weight_and_sign

ODD = (0.0, -0.0, 1.0, -1.0, 1e-45, -3e-39, 3.4e38, -3.4e38, float("inf"), float("-inf"), float("nan"))
LENGTHS = (0, 1, 7, 33, 1000, (3 << 19) + 5)


@pytest.fixture(params=[1, 3])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def numbers(length: int, seed: int) -> Tensor:
    """Draw numbers of many sizes, odd ones among them."""
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(length, generator=generator) * torch.randn(length, generator=generator).exp2()
    odd = torch.tensor(ODD)[torch.randint(len(ODD), (length,), generator=generator)]
    return torch.where(torch.rand(length, generator=generator) < 0.1, odd, drawn)


def bits(values: Tensor) -> Tensor:
    """Give the bits of numbers, all NaNs alike."""
    return torch.where(values.isnan(), torch.nan, values).view(torch.int32)


@pytest.mark.skipif(not passes.torch_fuses(), reason="torch is not known to round a product and a sum at once here")
@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("settings", [(0.1, 0.9, 1e-4), (0.0, 0.0, 0.0), (4.8, 0.99, 5e-4), (3000.0, 0.9, 0.0)])
def test_descent_has_the_bits_of_torch(length: int, settings: tuple[float, float, float], threads: int) -> None:
    vector, velocity, gradient = (numbers(length, seed) for seed in range(3))
    rate, momentum, weight_decay = settings
    expected_velocity = velocity.clone().mul_(momentum).add_(gradient.clone().add_(vector, alpha=weight_decay))
    expected = vector.clone().add_(expected_velocity, alpha=-rate)
    passes.run(descend, (vector, velocity, gradient), *map(np.float32, settings))
    assert torch.equal(bits(velocity), bits(expected_velocity))
    assert torch.equal(bits(vector), bits(expected))


@pytest.mark.parametrize("length", LENGTHS)
def test_the_gradient_of_scores_has_the_bits_of_torch(length: int, threads: int) -> None:
    gradient, weights, scores = (numbers(length, seed) for seed in range(3))
    expected = gradient * weights * torch.sign(scores)
    passes.run(times_weight_and_sign, (gradient, weights, scores))
    assert torch.equal(bits(gradient), bits(expected))


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_mask_keeps_every_bit_or_none(length: int, dtype: torch.dtype, threads: int) -> None:
    values = numbers(length, 0).to(dtype).view(torch.int32 if dtype == torch.float32 else torch.int16)
    mask, kept = torch.rand(length) < 0.3, torch.ones_like(values)
    passes.run(keep_masked, (values, mask, kept))
    assert torch.equal(kept, torch.where(mask, values, 0))


@pytest.mark.parametrize("block", [1, 256])
@pytest.mark.parametrize("length", LENGTHS)
def test_parts_are_all_of_a_vector(length: int, block: int, threads: int) -> None:
    parts = passes.cut(length, block)
    assert [number for part in parts for number in range(part.start, part.stop)] == list(range(length))
    assert len(parts) == (threads if length > 1 << 20 else 1)
    assert all(part.stop % block == 0 for part in parts[:-1])


def test_vectors_of_other_lengths_are_refused() -> None:
    """A compiled loop would read and write what lies behind the shorter one."""
    for lengths in ((6, 6, 3), (6, 3, 6), (3, 6, 6)):
        with pytest.raises(ValueError, match=r"equally long, not \[\["):
            passes.run(times_weight_and_sign, tuple(torch.zeros(length) for length in lengths))


def test_what_fails_in_another_thread_fails_here() -> None:
    def work(number: int) -> int:
        return 1 // (2 - number)

    assert passes.in_threads(work, 2) == [0, 1]
    with pytest.raises(ZeroDivisionError):
        passes.in_threads(work, 3)
