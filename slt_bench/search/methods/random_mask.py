"""Random mask, the control: a uniformly random mask, under which batch-norm statistics are gathered and nothing is learned."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from slt_bench.params.searches import Learned, RandomMask
from slt_bench.search.methods.contract import Found, Method
from slt_bench.search.schedules import Phase

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from slt_bench.params.recipes import Recipe
    from slt_bench.ticket.masked_network import MaskedNetwork


class RandomMaskMethod(Method[RandomMask]):
    """The choice of the edges that come first in a uniformly random ranking; `learned` is that ranking and stays as it is."""

    learns: ClassVar[Learned] = "nothing"

    def __init__(self, search: RandomMask, network: MaskedNetwork, phases: Sequence[Phase], recipe: Recipe, seed: int) -> None:
        """Draw the ranking; see `Method`."""
        from slt_bench.networks.source import uniform_scores
        from slt_bench.search.selector import Selector

        source = network.source
        self.network, self.learned = network, uniform_scores(source.to("cpu"), seed).to(source.weights.device)
        self.selector = Selector(network, search.selection)
        self.keep = self.selector.keep_of_phases(phases)

    @staticmethod
    def phases(search: RandomMask, recipe: Recipe, start: float, target: float) -> tuple[Phase, ...]:
        """List the one phase, at the sparsity of the ticket; see `Method`."""
        return (Phase(recipe.epochs, target),)

    def compose(self, phase: int) -> Tensor:
        """Keep the first edges of the ranking; see `Method`."""
        self.selector.select(self.learned, self.keep[phase])
        self.network.compose()
        return self.network.mask

    def found(self) -> Found:
        """Give the mask; see `Method`."""
        return Found(mask=self.network.mask)
