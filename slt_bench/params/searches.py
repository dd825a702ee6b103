"""Searches: edge-popup, iterative edge-popup, and the baselines that they are compared with."""

from __future__ import annotations

from math import log
from typing import Annotated, Literal

from pydantic import Field, model_validator

from slt_bench.params.base import Model, Ratio

Selection = Annotated[
    Literal["global", "local"], Field(description="one threshold over all layers, or the same density in every layer")
]

Learned = Literal["scores", "weights", "nothing"]  # what is optimised; with nothing, a fixed random ranking is cut
Keep = Annotated[float, Field(gt=0, lt=1)]


class EdgePopup(Model):
    """Edge-popup: one phase at the final sparsity (Ramanujan et al. 2020)."""

    kind: Literal["edge-popup"]
    selection: Selection = "global"
    length: int = Field(1, ge=1, le=100, description="factor on the recipe's epochs: as long as this many iterations of iEP")
    keep: Keep | None = Field(None, description="in place of length: as long as iEP with this keep and epochs: per_iteration")

    @property
    def label(self) -> str:
        """The name of the search in tables."""
        long = ", as long as iEP" if self.keep else f", {self.length} x the epochs" if self.length > 1 else ""
        return "edge popup" + _local(self.selection) + long

    @model_validator(mode="after")
    def _one_length(self) -> EdgePopup:
        if self.keep is not None and self.length > 1:
            raise ValueError("give either length or keep")
        return self


class IterativeEdgePopup(Model):
    """Iterative edge-popup: sparsity rises and the learning rate is rewound at each iteration (Iwasawa et al. 2023)."""

    kind: Literal["iterative-edge-popup"]
    selection: Selection = "global"
    iterations: int | None = Field(None, ge=2, le=100)
    keep: Keep | None = Field(
        None,
        description="in place of iterations: share that each keeps of the one before, so that s_i = 1 - keep^i; there are as "
        "many as the row's sparsity needs (to the nearest)",
    )
    rule: Literal["geometric", "linear"] | None = Field(
        None, description="geometric, also if absent: density falls by an equal factor; linear: sparsity rises by equal steps"
    )
    sparsities: list[Ratio] | None = Field(
        None, min_length=2, max_length=100, description="in place of iterations, keep and rule: the sparsity of each, rising"
    )
    space: Literal["soft", "hard"] = Field("soft", description="hard: each iteration searches inside the last mask alone")
    scores: Literal["carried", "redrawn", "rewound"] = Field(
        "carried", description="hard: at each iteration they go on, are drawn anew, or return to where the search began"
    )
    momentum: Literal["kept", "reset"] = Field("kept", description="at each iteration")
    warmup: Literal["every", "first"] = Field("every", description="iterations that begin with the recipe's warm-up")
    epochs: Literal["total", "per_iteration"] = Field("total", description="total: as many epochs as edge-popup gets in all")

    def count(self, start: float, target: float) -> int:
        """Count the iterations from the sparsity of the source to that of the ticket.

        Args:
            start: sparsity of the source, in [0, 1].
            target: sparsity of the ticket, in [0, 1].
        """
        if self.keep is not None:
            return iterations_at(self.keep, start, target)
        return len(self.sparsities) if self.sparsities is not None else self.iterations or 0

    @property
    def label(self) -> str:
        """The name of the search in tables."""
        hard = f", hard ({self.scores} scores)" if self.space == "hard" else ""
        long = ", all epochs in each iteration" if self.epochs == "per_iteration" else ""
        once = ", one warm-up" if self.warmup == "first" else ""
        return "iterative edge popup" + hard + _local(self.selection) + long + once

    @model_validator(mode="after")
    def _one_way_to_rise(self) -> IterativeEdgePopup:
        if [self.iterations, self.keep, self.sparsities].count(None) != 2:
            raise ValueError("give one of iterations, keep and sparsities")
        if self.iterations is None and self.rule is not None:
            raise ValueError(f"{'keep' if self.keep else 'sparsities'} say it all: leave rule out")
        if self.sparsities is not None and self.sparsities != sorted(self.sparsities):
            raise ValueError(f"sparsities must rise, got {self.sparsities}")
        if self.space == "soft" and self.scores != "carried":
            raise ValueError(f"scores: {self.scores} needs space: hard; a soft search would forget all that it found")
        return self


def iterations_at(keep: float, start: float, target: float) -> int:
    """Count the iterations after which 1 - (1 - start) keep^i is nearest to the target sparsity.

    A sparsity of 1 is never reached: there the iterations are counted that go 0.999 of the way.

    Args:
        keep: share of the edges that each iteration keeps of those of the one before, in (0, 1).
        start: sparsity of the source, in [0, 1].
        target: sparsity of the ticket, in [0, 1].

    Returns:
        The number i of iterations, 1 or more.
    """
    if start >= 1:
        return 1
    return max(1, round(log(max(1e-3, (1 - target) / (1 - start))) / log(keep)))


class WeightTraining(Model):
    """The baseline: the weights of all free edges are trained. In a source from a ticket, these are the ticket's edges."""

    kind: Literal["weight-training"]

    @property
    def label(self) -> str:
        """The name of the search in tables."""
        return "weight training"


class RandomMask(Model):
    """The control: a uniformly random mask; nothing is optimised, and only batch-norm statistics are gathered."""

    kind: Literal["random-mask"]
    selection: Selection = "global"

    @property
    def label(self) -> str:
        """The name of the search in tables."""
        return "random mask" + _local(self.selection)


def _local(selection: str) -> str:
    return ", local" if selection == "local" else ""


Search = Annotated[EdgePopup | IterativeEdgePopup | WeightTraining | RandomMask, Field(discriminator="kind")]
