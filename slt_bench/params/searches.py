"""Searches: edge-popup and its relatives."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from slt_bench.params.base import Model, Ratio

Selection = Annotated[
    Literal["global", "local"], Field(description="one threshold over all layers, or the same density in every layer")
]


class EdgePopup(Model):
    """Edge-popup: one phase at the final sparsity (Ramanujan et al. 2020)."""

    kind: Literal["edge-popup"]
    selection: Selection = "global"
    length: int = Field(1, ge=1, le=100, description="times the recipe's epochs: as long as so many iterations of iEP")

    @property
    def label(self) -> str:
        """For a reader of a table."""
        return "edge popup" + _local(self.selection) + (f", {self.length} x the epochs" if self.length > 1 else "")


class IterativeEdgePopup(Model):
    """Iterative edge-popup: sparsity rises and the learning rate is rewound at each iteration (Iwasawa et al. 2023)."""

    kind: Literal["iterative-edge-popup"]
    selection: Selection = "global"
    iterations: int | None = Field(None, ge=2, le=100)
    rule: Literal["geometric", "linear"] | None = Field(
        None, description="geometric, also if absent: density falls by an equal factor; linear: sparsity rises by equal steps"
    )
    sparsities: list[Ratio] | None = Field(
        None, min_length=2, max_length=100, description="in place of iterations and rule: the sparsity of each, rising"
    )
    space: Literal["soft", "hard"] = Field("soft", description="hard: each iteration searches inside the last mask alone")
    scores: Literal["carried", "redrawn", "rewound"] = Field(
        "carried", description="hard: at each iteration they go on, are drawn anew, or return to where the search began"
    )
    momentum: Literal["kept", "reset"] = Field("kept", description="at each iteration")
    warmup: Literal["every", "first"] = Field("every", description="iterations that begin with the recipe's warm-up")
    epochs: Literal["total", "per_iteration"] = Field("total", description="total: as many epochs as edge-popup gets in all")

    @property
    def count(self) -> int:
        """Number of iterations."""
        return len(self.sparsities) if self.sparsities is not None else self.iterations or 0

    @property
    def label(self) -> str:
        """For a reader of a table."""
        hard = f", hard ({self.scores} scores)" if self.space == "hard" else ""
        return "iterative edge popup" + hard + _local(self.selection)

    @model_validator(mode="after")
    def _one_way_to_rise(self) -> IterativeEdgePopup:
        if (self.iterations is None) == (self.sparsities is None):
            raise ValueError("give either iterations or sparsities")
        if self.sparsities is not None and self.rule is not None:
            raise ValueError("sparsities say it all: leave rule out")
        if self.sparsities is not None and self.sparsities != sorted(self.sparsities):
            raise ValueError(f"sparsities must rise, got {self.sparsities}")
        if self.space == "soft" and self.scores != "carried":
            raise ValueError(f"scores: {self.scores} needs space: hard; a soft search would forget all that it found")
        return self


class WeightTraining(Model):
    """The baseline: the weights of all free edges are trained; in a source from a ticket, those of the ticket."""

    kind: Literal["weight-training"]

    @property
    def label(self) -> str:
        """For a reader of a table."""
        return "weight training"


class RandomMask(Model):
    """The control: a uniformly random mask; only batch-norm statistics are gathered."""

    kind: Literal["random-mask"]
    selection: Selection = "global"

    @property
    def label(self) -> str:
        """For a reader of a table."""
        return "random mask" + _local(self.selection)


def _local(selection: str) -> str:
    return ", local" if selection == "local" else ""


Search = Annotated[EdgePopup | IterativeEdgePopup | WeightTraining | RandomMask, Field(discriminator="kind")]
