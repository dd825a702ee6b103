"""Algorithms that rank the free edges: `learned` is the ranking, and the mask keeps its largest entries."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar, TypeVar

from slt_bench.params.searches import Selection
from slt_bench.search.methods.contract import Method, Phase, Recipe, Search

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from slt_bench.ticket.found import Found
    from slt_bench.ticket.masked_network import MaskedNetwork


class Ranking(Search):
    """The declaration of an algorithm that keeps the largest entries of a ranking."""

    selection: Selection = "global"

    def check(self, recipe: Recipe, start: float, target: float) -> None:
        """Refuse scores that are all equal where one threshold cuts all layers; see `Search`."""
        if self.is_searched and recipe.score_init == "constant" and self.selection == "global":
            raise ValueError(
                "constant scores are equal in all of a layer: global selection would keep whole layers and empty others; "
                "use selection: local"
            )

    def _label(self, name: str) -> str:
        return f"{name}, local" if self.selection == "local" else name


RankingSearch = TypeVar("RankingSearch", bound=Ranking)


class RankingMethod(Method[RankingSearch]):
    """The choice of a mask by a ranking, whoever learns or draws it."""

    by_magnitude: ClassVar[bool] = True  # the largest entries by magnitude; else by value

    def __init__(
        self, search: RankingSearch, network: MaskedNetwork, phases: Sequence[Phase], recipe: Recipe, seed: int
    ) -> None:
        """Draw the first ranking, and compute how many edges each phase keeps; see `Method`."""
        from slt_bench.search.selector import Selector

        super().__init__(search, network, phases, recipe, seed)
        self.learned = self.draw_ranking(0)
        self.selector = Selector(network, search.selection)
        self.keep = self.selector.keep_of_phases(phases)

    @abstractmethod
    def draw_ranking(self, draw: int) -> Tensor:
        """Draw a ranking.

        Args:
            draw: how often one was drawn before, from 0.

        Returns:
            float32[N_free] on the network's device.
        """

    def compose(self, phase: int) -> Tensor:
        """Keep the edges with the largest entries; see `Method`."""
        self.selector.select(self.learned, self.keep[phase], self.by_magnitude)
        self.network.compose()
        return self.network.mask

    def found(self) -> Found:
        """Give the mask; see `Method`."""
        from slt_bench.ticket.found import Found

        return Found(mask=self.network.mask)
