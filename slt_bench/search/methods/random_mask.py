"""Random mask, the control: a uniformly random mask, under which batch-norm statistics are gathered and nothing is learned."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from slt_bench.params.searches import Learned, RandomMask
from slt_bench.search.methods.ranking import RankingMethod
from slt_bench.search.schedules import Phase

if TYPE_CHECKING:
    from torch import Tensor

    from slt_bench.params.recipes import Recipe


class RandomMaskMethod(RankingMethod[RandomMask]):
    """The choice of the edges that come first in a uniformly random ranking, which stays as it is."""

    learns: ClassVar[Learned] = "nothing"

    @staticmethod
    def phases(search: RandomMask, recipe: Recipe, start: float, target: float) -> tuple[Phase, ...]:
        """List the one phase, at the sparsity of the ticket; see `Method`."""
        return (Phase(recipe.epochs, target),)

    def draw_ranking(self, draw: int) -> Tensor:
        """Draw the ranking, which is drawn once; see `RankingMethod`."""
        from slt_bench.networks.source import uniform_scores

        source = self.network.source
        return uniform_scores(source.to("cpu"), self.seed).to(source.weights.device)
