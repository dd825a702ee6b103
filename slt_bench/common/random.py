"""Independent streams of random numbers, one per (seed, purpose, index).

A stream is Philox-4x64 in counter mode, keyed by SHA-256 of its name: every value depends on the name and its position
alone, on no other stream and on no device. Only integer arithmetic and IEEE additions, multiplications, divisions and
square roots are used, never a libm function, so that the same bits come out on every machine: a ticket stores no weights.
"""

from __future__ import annotations

import hashlib
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Purpose = Literal[
    "weights", "roles", "scores", "new-scores", "scores-in-ticket", "new-scores-in-ticket", "shuffle", "split", "subset",
    "test-subset", "digits-test", "compress", "order", "augmentation", "redrawn-weights", "redraw", "gates",
]  # fmt: skip


def key(seed: int, purpose: Purpose, index: int = 0) -> int:
    """Compute the 128-bit key of a stream.

    Args:
        seed: of the cell or of the dataset.
        purpose: what the numbers are for.
        index: the layer, the epoch or the class, whatever the purpose counts, from 0.

    Returns:
        The first 16 bytes of the SHA-256 of the stream's name, little-endian.
    """
    name = f"slt-bench/{seed}/{purpose}/{index}"
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:16], "little")


def words(seed: int, purpose: Purpose, index: int, count: int) -> NDArray[np.uint64]:
    """Draw the first words of a stream.

    Args:
        seed: names the stream, together with purpose and index: see `key`.
        purpose: see `key`.
        index: see `key`.
        count: how many.

    Returns:
        uint64[count].
    """
    return np.random.Philox(key=key(seed, purpose, index)).random_raw(count)


def uniform(seed: int, purpose: Purpose, index: int, count: int) -> NDArray[np.float64]:
    """Draw uniform values in the open interval (0, 1), on a grid of 2^-32, symmetric about 1/2.

    Args:
        seed: names the stream, together with purpose and index: see `key`.
        purpose: see `key`.
        index: see `key`.
        count: how many.

    Returns:
        float64[count].
    """
    halves = words(seed, purpose, index, (count + 1) // 2).astype("<u8", copy=False).view("<u4")
    return (halves[:count].astype(np.float64) + 0.5) * 2.0**-32


def normal(seed: int, purpose: Purpose, index: int, count: int) -> NDArray[np.float64]:
    """Draw standard normal values: the inverse of the distribution function at `uniform`.

    Args:
        seed: names the stream, together with purpose and index: see `key`.
        purpose: see `key`.
        index: see `key`.
        count: how many.

    Returns:
        float64[count].
    """
    return _inverse_normal(uniform(seed, purpose, index, count))


def permutation(seed: int, purpose: Purpose, index: int, count: int) -> NDArray[np.int64]:
    """Draw a uniformly random order.

    Args:
        seed: names the stream, together with purpose and index: see `key`.
        purpose: see `key`.
        index: see `key`.
        count: how many numbers to order.

    Returns:
        int64[count]: the numbers from 0 to count - 1.
    """
    return np.argsort(words(seed, purpose, index, count), kind="stable")


def _polynomial(coefficients: tuple[float, ...], x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Evaluate a polynomial by Horner's rule; the coefficients are those of rising powers."""
    value = np.full_like(x, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        value = value * x + coefficient
    return value


# Wichura's algorithm AS 241 (PPND16), Applied Statistics 37 (1988): relative error about 1e-16.
# Each row: numerator and denominator of a rational function, lowest power first.
_CENTRE = (
    (
        3.3871328727963666080e0, 1.3314166789178437745e2, 1.9715909503065514427e3, 1.3731693765509461125e4,
        4.5921953931549871457e4, 6.7265770927008700853e4, 3.3430575583588128105e4, 2.5090809287301226727e3,
    ),
    (
        1.0, 4.2313330701600911252e1, 6.8718700749205790830e2, 5.3941960214247511077e3,
        2.1213794301586595867e4, 3.9307895800092710610e4, 2.8729085735721942674e4, 5.2264952788528545610e3,
    ),
)  # fmt: skip
_NEAR_TAIL = (
    (
        1.42343711074968357734e0, 4.63033784615654529590e0, 5.76949722146069140550e0, 3.64784832476320460504e0,
        1.27045825245236838258e0, 2.41780725177450611770e-1, 2.27238449892691845833e-2, 7.74545014278341407640e-4,
    ),
    (
        1.0, 2.05319162663775882187e0, 1.67638483018380384940e0, 6.89767334985100004550e-1,
        1.48103976427480074590e-1, 1.51986665636164571966e-2, 5.47593808499534494600e-4, 1.05075007164441684324e-9,
    ),
)  # fmt: skip


def _inverse_normal(u: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute the inverse normal distribution function by AS 241 on float64[n] in (0, 1).

    The algorithm's far tail (u < 1.4e-11) is left out: a 2^-32 grid does not reach it.
    """
    centred = u - 0.5
    square = 0.180625 - centred * centred
    result = centred * _polynomial(_CENTRE[0], square) / _polynomial(_CENTRE[1], square)
    tail = np.abs(centred) > 0.425
    distance = np.minimum(u[tail], 1.0 - u[tail])
    root = np.sqrt(-2.0 * _half_log(distance)) - 1.6
    magnitude = _polynomial(_NEAR_TAIL[0], root) / _polynomial(_NEAR_TAIL[1], root)
    result[tail] = np.where(centred[tail] < 0, -magnitude, magnitude)
    return result


def _half_log(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute log(x) / 2 from IEEE operations only (libm's last bit differs between machines)."""
    mantissa, exponent = np.frexp(x)
    low = mantissa < np.sqrt(0.5)
    mantissa = np.where(low, 2.0 * mantissa, mantissa)
    exponent = np.where(low, exponent - 1, exponent)
    ratio = (mantissa - 1.0) / (mantissa + 1.0)  # log m = 2 atanh(ratio), |ratio| < 0.172
    series = _polynomial(tuple(1.0 / (2 * i + 1) for i in range(12)), ratio * ratio)
    return exponent * 0.34657359027997264 + ratio * series
