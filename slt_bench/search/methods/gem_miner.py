"""Gem-Miner: probabilities of edges are learned and rounded, and the least are closed for ever (Sreenivasan et al. 2022)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from slt_bench.common.colours import PURPLE
from slt_bench.search.methods.contract import Phase, Recipe
from slt_bench.search.methods.ranking import Ranking
from slt_bench.search.methods.signed_edge_popup import SignedMethod

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from slt_bench.search.steps.optimizer import Sgd


class GemMinerMethod(SignedMethod["GemMiner"]):
    """A probability for each free edge: above 1/2 it is kept, unless it is closed."""

    replayable: ClassVar = True

    def start(self, phases: Sequence[Phase]) -> None:
        """Draw the probabilities, all open; see `Method`."""
        super().start(phases)
        self.open = self.network.mask.clone().fill_(True)

    def draw_ranking(self, draw: int) -> Tensor:
        """Draw probabilities, uniform in (0, 1); see `RankingMethod`."""
        return self.uniform_ranking()

    def compose(self, phase: int) -> Tensor:
        """Keep open edges whose probability is above 1/2; see `Method`."""
        self.check_finite()
        self.network.mask.copy_((self.learned > 0.5) & self.open)
        self.network.compose()
        return self.network.mask

    def settle(self, phase: int) -> bool:
        """Keep the exact number of edges, the most probable of the open ones; see `Method`."""
        self.selector.select(self.learned.masked_fill(~self.open, -1.0), self.keep[phase], by_magnitude=False)
        self.network.compose()
        return True

    def penalty(self, learned: Tensor) -> Tensor:
        """Draw all probabilities to 0; see `Method`."""
        return self.search.penalty * learned.square().sum()

    def gradient(self, by_weights: Tensor) -> Tensor:
        """Add the penalty's gradient to that through the weights; see `Method`."""
        return super().gradient(by_weights).add_(self.learned, alpha=2 * self.search.penalty)

    def after_step(self, steps: int) -> None:
        """Clamp the probabilities; see `Method`."""
        self.learned.clamp_(0, 1)

    def begin_phase(self, phase: Phase, number: int, optimizer: Sgd) -> None:
        """Close the least probable edges, so that as many are open as the phase keeps; see `Method`."""
        if number:
            self.settle(number)
            self.open.copy_(self.network.mask)

    def state(self) -> dict[str, Tensor]:
        """Give the probabilities, and which edges are open; see `Method`."""
        return super().state() | {"open": self.open}

    def load(self, state: dict[str, Tensor]) -> None:
        """Take over what `state` gave."""
        super().load(state)
        self.open.copy_(state["open"])


class GemMiner(Ranking):
    """Gem-Miner: rounded probabilities with a penalty; in equal steps of density the least are closed for ever."""

    kind: Literal["gem-miner"]
    period: int = Field(5, ge=1, description="epochs between closings")
    penalty: float = Field(1e-4, ge=0, description="factor of the sum of squared probabilities in the loss")

    name: ClassVar = "Gem-Miner (cut to size)"
    hue: ClassVar = PURPLE
    algorithm: ClassVar = GemMinerMethod

    def phases(self, recipe: Recipe, start: float, target: float) -> tuple[Phase, ...]:
        """List the stretches between closings, in one sweep of the learning rate; density falls by an equal factor at each.

        Args:
            recipe: how long a search is trained.
            start: sparsity p of the source network, in [0, 1].
            target: sparsity s of the ticket, in [p, 1].

        Returns:
            The phases: phase i of n + 1 has the density (1-p) ((1-s)/(1-p))^(i/n), from i = 0.
        """
        closings = max(1, -(-recipe.epochs // self.period) - 1)
        share = (1 - target) / (1 - start) if start < 1 else 1.0
        stops = [min(recipe.epochs, (i + 1) * self.period) for i in range(closings)] + [recipe.epochs]
        phases = []
        for i, (begin, stop) in enumerate(zip([0, *stops[:-1]], stops, strict=True)):
            sparsity = target if i == closings else 1 - (1 - start) * share ** (i / closings)
            inside = i > 0  # in each layer too, whose share may be rounded up again
            phases.append(
                Phase(stop - begin, sparsity, inside_last_mask=inside, epochs_before=begin, epochs_after=recipe.epochs - stop)
            )
        return tuple(phase for phase in phases if phase.epochs)

    def check(self, recipe: Recipe, start: float, target: float) -> None:
        """Refuse a period that leaves no closing; see `Search`."""
        if recipe.epochs <= self.period:
            raise ValueError(f"period: {self.period} leaves no closing in {recipe.epochs} epochs")
