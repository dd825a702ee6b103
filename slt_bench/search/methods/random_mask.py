"""Random mask, the control: a uniformly random mask, under which batch-norm statistics are gathered and nothing is learned."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from slt_bench.common.colours import GREY
from slt_bench.params.searches import Learned
from slt_bench.search.methods.contract import Phase, Recipe
from slt_bench.search.methods.ranking import Ranking, RankingMethod

if TYPE_CHECKING:
    from torch import Tensor

# In so many epochs averages of batch norms (momentum 0.1) forget where they began, even at 20 steps each: 0.9 ** 100 is 3e-5.
_GATHERING = 5


class RandomMaskMethod(RankingMethod["RandomMask"]):
    """The choice of the edges that come first in a uniformly random ranking, which stays as it is."""

    def draw_ranking(self, draw: int) -> Tensor:
        """Draw the ranking, which is drawn once; see `RankingMethod`."""
        return self.uniform_ranking()


class RandomMask(Ranking):
    """The control: a uniformly random mask; nothing is optimised, and only batch-norm statistics are gathered."""

    kind: Literal["random-mask"]

    name: ClassVar = "random mask"
    hue: ClassVar = GREY
    learns: ClassVar[Learned] = "nothing"
    algorithm: ClassVar = RandomMaskMethod

    def phases(self, recipe: Recipe, start: float, target: float) -> tuple[Phase, ...]:
        """List the one phase: as many epochs as statistics need, however long a search takes; see `Search`."""
        return (Phase(min(recipe.epochs, _GATHERING), target),)
