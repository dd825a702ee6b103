"""Weight training, the baseline: the weights of all free edges are trained, and none is dropped."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from slt_bench.params.searches import Learned, WeightTraining
from slt_bench.search.methods.contract import Found, Method
from slt_bench.search.schedules import Phase

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from slt_bench.params.recipes import Recipe
    from slt_bench.ticket.masked_network import MaskedNetwork


class WeightTrainingMethod(Method[WeightTraining]):
    """The training of all free weights, from those of the source network on."""

    learns: ClassVar[Learned] = "weights"

    def __init__(
        self, search: WeightTraining, network: MaskedNetwork, phases: Sequence[Phase], recipe: Recipe, seed: int
    ) -> None:
        """Copy the free weights of the source network; see `Method`."""
        self.network, self.learned = network, network.free_weights.clone()

    @staticmethod
    def phases(search: WeightTraining, recipe: Recipe, start: float, target: float) -> tuple[Phase, ...]:
        """List the one phase, at the sparsity of the source network; see `Method`."""
        return (Phase(recipe.epochs, start),)

    def compose(self, phase: int) -> Tensor:
        """Compute with the trained weights; the mask keeps every free edge. See `Method`."""
        self.network.compose(self.learned)
        return self.network.mask

    def found(self) -> Found:
        """Give the trained weights; see `Method`."""
        return Found(weights=self.learned)
