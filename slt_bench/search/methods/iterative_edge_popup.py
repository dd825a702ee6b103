"""Iterative edge-popup: edge-popup in iterations of rising sparsity, as phases (Iwasawa et al. 2023), and its two halves."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, model_validator

from slt_bench.common.colours import GREEN, ORANGE, PURPLE, VERMILION
from slt_bench.params.base import Ratio
from slt_bench.search.methods.contract import Phase, Recipe
from slt_bench.search.methods.edge_popup import Keep, ScoreMethod, check_iterations, iterations_at
from slt_bench.search.methods.ranking import Ranking

if TYPE_CHECKING:
    from slt_bench.search.steps.optimizer import Sgd


class IterativeEdgePopupMethod(ScoreMethod["IterativeEdgePopup"]):
    """Iterative edge-popup: soft keeps every edge in play, hard those of the last mask alone (Iwasawa et al. 2023)."""

    replayable: ClassVar = True

    def begin_phase(self, phase: Phase, number: int, optimizer: Sgd) -> None:
        """Set scores and momentum and, for hard iterations, close the edges that the last mask dropped (law 7).

        A closed edge has score and momentum 0: sign(0) = 0 gives it no gradient, so it stays at 0, behind all open edges.

        Args:
            phase: the iteration that begins; the network still has the mask of the last step.
            number: of the iteration, from 0.
            optimizer: of the scores.
        """
        if phase.scores != "carried":
            self.learned.copy_(self.draw_ranking(number if phase.scores == "redrawn" else 0))
        if phase.reset_momentum:
            optimizer.velocity.zero_()
        if phase.inside_last_mask:
            self.learned.mul_(self.network.mask)
            optimizer.velocity.mul_(self.network.mask)


class IterativeEdgePopup(Ranking):
    """Iterative edge-popup: sparsity rises and the learning rate is rewound at each iteration (Iwasawa et al. 2023)."""

    kind: Literal["iterative-edge-popup"]
    iterations: int | None = Field(None, ge=2, le=100)
    keep: Keep | None = Field(
        None,
        description="in place of iterations: share that each keeps of the one before, so that s_i = 1 - keep^i; there are as "
        "many as the row's sparsity needs (to the nearest, in the logarithm of density)",
    )
    rule: Literal["geometric", "linear", "constant"] | None = Field(
        None,
        description="geometric, also if absent: density falls by an equal factor; linear: sparsity rises by equal steps; "
        "constant: the final sparsity in all, so that rewinding is left alone",
    )
    sparsities: list[Ratio] | None = Field(
        None, min_length=2, max_length=100, description="in place of iterations, keep and rule: the sparsity of each, rising"
    )
    learning_rate: Literal["rewound", "swept_once"] = Field(
        "rewound", description="swept_once: one cosine over all iterations, so that the rise of sparsity is left alone"
    )
    space: Literal["soft", "hard"] = Field("soft", description="hard: each iteration searches inside the last mask alone")
    scores: Literal["carried", "redrawn", "rewound"] = Field(
        "carried", description="hard: at each iteration they go on, are drawn anew, or return to where the search began"
    )
    momentum: Literal["kept", "reset"] = Field("kept", description="at each iteration")
    warmup: Literal["every", "first"] = Field("every", description="iterations that begin with the recipe's warm-up")
    epochs: Literal["total", "per_iteration"] = Field("total", description="total: as many epochs as edge-popup gets in all")

    algorithm: ClassVar = IterativeEdgePopupMethod

    @property
    def label(self) -> str:
        """The name of the search in tables."""
        name = {"constant": "edge popup, rewound"}.get(self.rule or "", "iterative edge popup")
        if self.learning_rate == "swept_once":
            name = "edge popup, sparsity ramp"
        hard = f", hard ({self.scores} scores)" if self.space == "hard" else ""
        long = ", all epochs in each iteration" if self.epochs == "per_iteration" else ""
        once = ", one warm-up" if self.warmup == "first" else ""
        return self._label(name + hard) + long + once

    @property
    def colour(self) -> str:
        """Vermilion, green inside the last mask; orange and purple for several times the epochs or half of the algorithm."""
        other = self.epochs == "per_iteration" or self.learning_rate == "swept_once"
        if self.space == "hard" or self.rule == "constant":
            return PURPLE if other or self.rule == "constant" else GREEN
        return ORANGE if other else VERMILION

    def count(self, start: float, target: float) -> int:
        """Count the iterations from the sparsity of the source to that of the ticket.

        Args:
            start: sparsity of the source, in [0, 1].
            target: sparsity of the ticket, in [0, 1].
        """
        if self.keep is not None:
            return iterations_at(self.keep, start, target)
        return len(self.sparsities) if self.sparsities is not None else self.iterations or 0

    def phases(self, recipe: Recipe, start: float, target: float) -> tuple[Phase, ...]:
        """List the iterations; see `Search`."""
        count, epochs, once = self.count(start, target), recipe.epochs, self.learning_rate == "swept_once"
        lengths = [
            epochs * i // count - epochs * (i - 1) // count if self.epochs == "total" else epochs for i in range(1, count + 1)
        ]
        phases = []
        for i, (sparsity, length, done) in enumerate(
            zip(self._sparsities(count, start, target), lengths, accumulate(lengths), strict=True)
        ):
            phases.append(
                Phase(
                    epochs=length,
                    sparsity=sparsity,
                    warmup=self.warmup == "every" or once or not i,
                    scores=self.scores if i else "carried",
                    inside_last_mask=self.space == "hard" and i > 0,
                    reset_momentum=self.momentum == "reset" and i > 0,
                    epochs_before=done - length if once else 0,
                    epochs_after=sum(lengths) - done if once else 0,
                )
            )
        return tuple(phases)

    def _sparsities(self, count: int, start: float, target: float) -> list[float]:
        """Compute the sparsity of each iteration; the last one is exactly the target.

        Geometric is 1 - s_i = (1-p) ((1-s)/(1-p))^(i/n); in a dense source, p = 0, that is s_i = 1 - (1-q)^i (Iwasawa et al.
        2023).

        Args:
            count: number of iterations n.
            start: sparsity p of the source network, in [0, 1].
            target: sparsity s of the ticket, in [p, 1].

        Returns:
            One sparsity for each iteration.
        """
        if self.sparsities is not None:
            return self.sparsities
        steps = [i / count for i in range(1, count)]
        if self.rule == "constant":
            return [target] * count
        if self.rule == "linear":
            return [start + (target - start) * step for step in steps] + [target]
        if start >= 1:
            return [1.0] * count
        return [1 - (1 - start) * ((1 - target) / (1 - start)) ** step for step in steps] + [target]

    def check(self, recipe: Recipe, start: float, target: float) -> None:
        """Check the number of iterations, their epochs, their sparsities and the first scores; see `Search`."""
        super().check(recipe, start, target)
        if recipe.score_init == "constant" and self.scores == "redrawn":
            raise ValueError("constant scores cannot be redrawn: use scores: rewound, which is the same")
        check_iterations(self.keep, start, target)
        count, warmup = self.count(start, target), 0 if self.learning_rate == "swept_once" else recipe.warmup_epochs
        if self.epochs == "total" and recipe.epochs // count <= warmup:
            raise ValueError(f"{count} iterations in {recipe.epochs} epochs leave none beyond the warm-up")
        sparsities = self.sparsities
        if sparsities is not None and not (start <= sparsities[0] and sparsities[-1] == target):
            raise ValueError(
                f"goes through the sparsities {sparsities}: they must begin at prune_ratio ({start:g}) or above and end at the "
                f"row's sparsity ({target:g})"
            )

    @model_validator(mode="after")
    def _one_way_to_rise(self) -> IterativeEdgePopup:
        if [self.iterations, self.keep, self.sparsities].count(None) != 2:
            raise ValueError("give one of iterations, keep and sparsities")
        if self.iterations is None and self.rule is not None and (self.sparsities or self.rule != "constant"):
            raise ValueError(f"{'keep' if self.keep else 'sparsities'} say it all: leave rule out")
        if self.sparsities is not None and self.sparsities != sorted(self.sparsities):
            raise ValueError(f"sparsities must rise, got {self.sparsities}")
        if self.space == "soft" and self.scores != "carried":
            raise ValueError(f"scores: {self.scores} needs space: hard; a soft search would forget all that it found")
        if self.rule == "constant" and self.learning_rate == "swept_once":
            raise ValueError("a constant sparsity with the learning rate swept once is edge-popup: use kind: edge-popup")
        return self
