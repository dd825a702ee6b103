"""Law 5: independent streams that never change."""

import hashlib

import numpy as np
import pytest
from scipy.special import ndtri

from slt_bench.common import random


def test_known_answers_so_that_old_tickets_stay_readable() -> None:
    assert [f"{word:016x}" for word in random.words(0, "weights", 0, 3)] == WORDS
    assert hashlib.sha256(random.uniform(1, "roles", 2, 1001).tobytes()).hexdigest()[:16] == UNIFORM
    assert hashlib.sha256(random.normal(3, "scores", 4, 1001).tobytes()).hexdigest()[:16] == NORMAL


def test_streams_differ_by_seed_purpose_and_index() -> None:
    base = random.words(0, "weights", 0, 8)
    for other in ((1, "weights", 0), (0, "scores", 0), (0, "weights", 1)):
        assert not np.intersect1d(base, random.words(*other, 8)).size


def test_a_stream_does_not_depend_on_how_much_of_it_is_drawn() -> None:
    assert (random.uniform(0, "weights", 0, 10) == random.uniform(0, "weights", 0, 1001)[:10]).all()


def test_uniform_is_open_and_symmetric() -> None:
    values = random.uniform(0, "weights", 0, 100_000)
    assert values.min() > 0 and values.max() < 1
    assert values.mean() == pytest.approx(0.5, abs=0.005)


def test_normal_is_the_inverse_distribution_function() -> None:
    uniform = np.concatenate([random.uniform(0, "weights", 0, 100_000), [2.0**-33, 1 - 2.0**-33, 0.5, 0.075, 0.925]])
    np.testing.assert_allclose(random._inverse_normal(uniform), ndtri(uniform), rtol=1e-14, atol=1e-15)


def test_permutation_is_one() -> None:
    assert sorted(random.permutation(0, "order", 3, 1000)) == list(range(1000))


WORDS = ["f60fb55c0063af8d", "938ddbac8753ad4d", "f49edd594c46ec5b"]
UNIFORM = "a9a5d2f329a29d9a"
NORMAL = "79d9166f80b2c0e4"
