"""How a law says that it does not hold."""

from __future__ import annotations

from torch import Tensor


class Broken(Exception):
    """A law does not hold; the message says where, and with what numbers."""


def equal(one: list[Tensor], other: list[Tensor], what: str) -> None:
    """Check that two lists of tensors are equal bit for bit.

    Raises:
        Broken: they are not; `what` says of what they are.
    """
    for a, b in zip(one, other, strict=True):
        if a.shape != b.shape:
            raise Broken(f"{what}: {a.numel():,} entries instead of {b.numel():,}")
        if differing := int((a != b).sum()):
            raise Broken(f"{what}: {differing:,} of {a.numel():,} entries differ")
