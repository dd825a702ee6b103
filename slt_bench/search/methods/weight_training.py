"""Weight training, the baseline: the weights of all free edges are trained, and none is dropped."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from slt_bench.common.colours import BLACK
from slt_bench.params.searches import Learned
from slt_bench.search.methods.contract import Method, Phase, Search

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from slt_bench.ticket.found import Found


class WeightTrainingMethod(Method["WeightTraining"]):
    """The training of all free weights, from those of the source network on."""

    replayable: ClassVar = True

    def start(self, phases: Sequence[Phase]) -> None:
        """Copy the free weights of the source network; see `Method`."""
        self.learned = self.network.free_weights.clone()

    def compose(self, phase: int) -> Tensor:
        """Compute with the trained weights; the mask keeps every free edge. See `Method`."""
        self.network.compose(self.learned)
        return self.network.mask

    def surrogate(self, learned: Tensor) -> Tensor:
        """The weights themselves are learned; see `Method`."""
        return learned

    def gradient(self, by_weights: Tensor) -> Tensor:
        """The gradient by the weights is that by what is learned; see `Method`."""
        return by_weights

    def found(self) -> Found:
        """Give the trained weights; see `Method`."""
        from slt_bench.ticket.found import Found

        return Found(weights=self.learned)


class WeightTraining(Search):
    """The baseline: the weights of all free edges are trained. In a source from a ticket, these are the ticket's edges."""

    kind: Literal["weight-training"]

    name: ClassVar = "weight training"
    hue: ClassVar = BLACK
    learns: ClassVar[Learned] = "weights"
    algorithm: ClassVar = WeightTrainingMethod
