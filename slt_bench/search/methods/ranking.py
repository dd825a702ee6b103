"""Algorithms that rank the free edges: `learned` is the ranking, and the mask keeps the largest entries by magnitude."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Protocol, TypeVar

from slt_bench.params.searches import Selection
from slt_bench.search.methods.contract import Found, Method
from slt_bench.search.schedules import Phase

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from slt_bench.params.recipes import Recipe
    from slt_bench.ticket.masked_network import MaskedNetwork


class Selecting(Protocol):
    """The parameters of an algorithm that keeps the largest entries of a ranking."""

    @property
    def selection(self) -> Selection:
        """One threshold over all layers, or one density for every layer."""


RankingSearch = TypeVar("RankingSearch", bound=Selecting)


class RankingMethod(Method[RankingSearch]):
    """The choice of a mask by a ranking, whoever learns or draws it."""

    def __init__(
        self, search: RankingSearch, network: MaskedNetwork, phases: Sequence[Phase], recipe: Recipe, seed: int
    ) -> None:
        """Draw the first ranking, and compute how many edges each phase keeps; see `Method`."""
        from slt_bench.search.selector import Selector

        self.network, self.recipe, self.seed = network, recipe, seed
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
        self.selector.select(self.learned, self.keep[phase])
        self.network.compose()
        return self.network.mask

    def found(self) -> Found:
        """Give the mask; see `Method`."""
        return Found(mask=self.network.mask)
