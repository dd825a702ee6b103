"""The compiled loops of passes over flat vectors on a CPU; each compiles to vector instructions."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numba.extending import intrinsic

from slt_bench.common.compiled import compiled


@intrinsic
def _fused(_typing: Any, _factor: Any, _other: Any, _term: Any) -> tuple[Any, Any]:
    """Multiply and add with one rounding, as torch's own kernels do with AVX2 and later."""

    def write(_context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        return builder.fma(*values)

    return types.float32(types.float32, types.float32, types.float32), write


@compiled
def descend(vector: Any, velocity: Any, gradient: Any, rate: Any, momentum: Any, weight_decay: Any) -> None:
    """Do a step of SGD with momentum and weight decay.

    Args:
        vector: float32[n], changed in place.
        velocity: float32[n], changed in place.
        gradient: float32[n].
        rate: float32, the learning rate.
        momentum: float32.
        weight_decay: float32.
    """
    for i in range(vector.size):
        decayed: Any = _fused(vector[i], weight_decay, gradient[i])  # type: ignore[call-arg]
        speed = np.float32(velocity[i] * momentum) + decayed
        velocity[i] = speed
        vector[i] = _fused(speed, -rate, vector[i])


@compiled
def times_weight_and_sign(gradient: Any, weights: Any, scores: Any) -> None:
    """Multiply gradients by weights and by the signs of scores, 1, 0 or -1.

    Args:
        gradient: float32[n], changed in place.
        weights: float32[n].
        scores: float32[n].
    """
    for i in range(gradient.size):
        sign = np.float32(scores[i] > 0) - np.float32(scores[i] < 0)
        gradient[i] = gradient[i] * weights[i] * sign


@compiled
def keep_masked(bits: Any, mask: Any, kept: Any) -> None:
    """Write what a mask keeps, and zeros elsewhere.

    Args:
        bits: int32[n] or int16[n], those of numbers.
        mask: bool[n].
        kept: of the type and length of `bits`, written to.
    """
    for i in range(bits.size):
        kept[i] = bits[i] if mask[i] else 0
