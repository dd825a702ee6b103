"""Claims: a claim says that one row of a table is better than another one, or smaller."""

from __future__ import annotations

from math import ceil
from typing import Literal

from pydantic import Field, model_validator

from slt_bench.params.base import Axis, Model, Name, Ratio

_GROWTH = 1.5  # of the number of seeds from one look to the next
_RESERVE = 2  # seeds that stand by for those that diverge, where a claim may be looked at more than once


class Side(Model):
    """One of the two sides that a claim compares: lines of a row."""

    row: Name = Field(description="id of a row; its lines are compared with those of the other side that they agree with")
    sparsity: Ratio | None = Field(None, description="only the lines of this sparsity; all if absent")
    freezing_ratio: Ratio | None = Field(
        None, description="only the lines whose sources have this freezing ratio; all if absent"
    )

    def has(self, sparsity: float, freezing_ratio: float) -> bool:
        """Whether lines of this sparsity and freezing ratio are on this side."""
        has_ratio = self.freezing_ratio is None or round(self.freezing_ratio, 9) == round(freezing_ratio, 9)
        return self.sparsity in (sparsity, None) and has_ratio


class Claim(Model):
    """A claim that one row is better than another, or smaller; the seeds of a table put it to the test."""

    text: str = Field(description="the claim, as a sentence")
    metric: Literal["top1", "bytes", "coded_bytes", "mask_packed_bytes", "dying_edge_ratio", "epoch_seconds"] = Field(
        "top1", description="epoch_seconds: the median time of an epoch of the search, with its validation"
    )
    of: Side
    over: Side
    compare: Literal["difference", "ratio"] = Field("difference", description="of - over, or of / over; paired by seed")
    beyond: float | None = Field(
        None, description="value that the effect must exceed; if absent, 0 for a difference and 1 for a ratio"
    )
    across: Literal["each", "most"] = Field(
        "each", description="each pair of lines, or (up to) the one with the largest effect"
    )
    matters: float = Field(
        0.0, ge=0, description="the least size beyond the threshold that matters: a claim does not hold where that is excluded"
    )
    looks: int = Field(
        1,
        ge=1,
        le=8,
        description="how often the seeds may be looked at, half as many again each time (`slt-bench run TABLE --decide`)",
    )
    published: Axis[str] | None = Field(None, description="ids of the published sizes of the effect")
    by_construction: bool = Field(False, description="whether it follows from how tickets are made: an identity, no finding")
    exploratory_in: Axis[Name] | None = Field(
        None, description="tables of which results were known when the claim was put: it is shown there, and is no test"
    )

    @model_validator(mode="after")
    def _ratios_are_of_sizes(self) -> Claim:
        if self.compare == "ratio" and not self.metric.endswith(("bytes", "seconds")):
            raise ValueError(f"compare: ratio is for bytes and seconds; {self.metric} may be 0")
        if self.compare == "ratio" and self.beyond is not None and self.beyond <= 0:
            raise ValueError(f"beyond: a ratio of bytes or seconds is above 0 in any case, got {self.beyond:g}")
        return self

    def sizes_of_looks(self, first: int) -> list[int]:
        """List the numbers of seeds at which the claim is looked at, fixed beforehand.

        Args:
            first: of the first look, the seeds of the table.
        """
        sizes = [first]
        while len(sizes) < self.looks:
            sizes.append(max(sizes[-1] + 1, ceil(first * _GROWTH ** len(sizes))))
        return sizes

    def most_seeds(self, first: int) -> int:
        """Return the number of seeds that the claim may ask for: those of its last look, and what stands by for divergence.

        Args:
            first: of the first look, the seeds of the table.
        """
        return self.sizes_of_looks(first)[-1] + (_RESERVE if self.looks > 1 else 0)
