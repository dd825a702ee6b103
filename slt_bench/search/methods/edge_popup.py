"""Edge-popup: scores are learned, and the free edges with the largest scores are kept (Ramanujan et al. 2020)."""

from __future__ import annotations

from math import log
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from slt_bench.common.colours import BLUE, SKY_BLUE
from slt_bench.search.methods.contract import Phase, Recipe
from slt_bench.search.methods.ranking import Ranking, RankingMethod, RankingSearch

if TYPE_CHECKING:
    from torch import Tensor


Keep = Annotated[float, Field(gt=0, lt=1)]
MOST_ITERATIONS = 100


class ScoreMethod(RankingMethod[RankingSearch]):
    """The step of edge-popup and its relatives: a score for each free edge, and a mask of the largest by magnitude."""

    replayable: ClassVar = True

    def draw_ranking(self, draw: int) -> Tensor:
        """Draw scores; see `RankingMethod`."""
        from slt_bench.networks.source import initial_scores

        source = self.network.source
        return initial_scores(source.to("cpu"), self.seed, self.recipe.score_init, draw).to(source.weights.device)

    def surrogate(self, learned: Tensor) -> Tensor:
        """Let gradients through the free weights times |score| (Ramanujan et al. 2020, section 3.1); see `Method`."""
        return self.network.free_weights * learned.abs()

    def gradient(self, by_weights: Tensor) -> Tensor:
        """Compute the gradient of each score: that of its free weight, times the weight and the score's sign (law 3).

        A score of 0 gets none.

        Args:
            by_weights: float32[N_free], by the free weights; it is changed.

        Returns:
            float32[N_free], which is `by_weights`.
        """
        import torch

        from slt_bench.compute.passes import are_compiled, run

        if not are_compiled(by_weights):
            return by_weights.mul_(self.network.free_weights).mul_(torch.sign(self.learned))
        from slt_bench.compute.pass_loops import times_weight_and_sign

        run(times_weight_and_sign, (by_weights, self.network.free_weights, self.learned))
        return by_weights


class EdgePopup(Ranking):
    """Edge-popup: one phase at the final sparsity (Ramanujan et al. 2020)."""

    kind: Literal["edge-popup"]
    length: int = Field(1, ge=1, le=100, description="factor on the recipe's epochs: as long as this many iterations of iEP")
    keep: Keep | None = Field(None, description="in place of length: as long as iEP with this keep and epochs: per_iteration")

    algorithm: ClassVar = ScoreMethod

    @property
    def label(self) -> str:
        """The name of the search in tables."""
        long = ", as long as iEP" if self.keep else f", {self.length} x the epochs" if self.length > 1 else ""
        return self._label("edge popup") + long

    @property
    def colour(self) -> str:
        """Blue, and a lighter one for several times the epochs."""
        return SKY_BLUE if self.keep is not None or self.length > 1 else BLUE

    def phases(self, recipe: Recipe, start: float, target: float) -> tuple[Phase, ...]:
        """List the one phase, which may be as long as the iterations of iterative edge-popup; see `Search`."""
        length = iterations_at(self.keep, start, target) if self.keep else self.length
        return (Phase(recipe.epochs * length, target),)

    def check(self, recipe: Recipe, start: float, target: float) -> None:
        """Check the length and the first scores; see `Search`."""
        super().check(recipe, start, target)
        check_iterations(self.keep, start, target)

    @model_validator(mode="after")
    def _one_length(self) -> EdgePopup:
        if self.keep is not None and self.length > 1:
            raise ValueError("give either length or keep")
        return self


def iterations_at(keep: float, start: float, target: float) -> int:
    """Count the iterations after which 1 - (1 - start) keep^i is nearest to the target sparsity, in the logarithm of density.

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
    share = (1 - target) / (1 - start) if target < 1 else 1e-3
    return max(1, round(log(share) / log(keep)))


def check_iterations(keep: float | None, start: float, target: float) -> None:
    """Check that `keep` makes no more than `MOST_ITERATIONS`; arguments as those of `iterations_at`.

    Raises:
        ValueError: it makes more.
    """
    if keep is not None and (count := iterations_at(keep, start, target)) > MOST_ITERATIONS:
        raise ValueError(f"keep: {keep} makes {count:,} iterations; {MOST_ITERATIONS} are the most")
