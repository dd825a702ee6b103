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

    @property
    def label(self) -> str:
        """The name of the search in tables, with the kind of selection."""
        return self._label(self.name)

    def _label(self, name: str) -> str:
        return f"{name}, local" if self.selection == "local" else name


RankingSearch = TypeVar("RankingSearch", bound=Ranking)


class RankingMethod(Method[RankingSearch]):
    """The choice of a mask by a ranking, whoever learns or draws it."""

    by_magnitude: ClassVar[bool] = True  # the largest entries by magnitude; else by value

    def start(self, phases: Sequence[Phase]) -> None:
        """Draw the first ranking, and compute how many edges each phase keeps; see `Method`."""
        from slt_bench.search.steps.selector import Selector

        self.learned = self.draw_ranking(0)
        self.selector = Selector(self.network, self.search.selection)
        self.keep = self.selector.keep_of_phases(phases)

    @abstractmethod
    def draw_ranking(self, draw: int) -> Tensor:
        """Draw a ranking.

        Args:
            draw: how often one was drawn before, from 0.

        Returns:
            float32[N_free] on the network's device.
        """

    def uniform_ranking(self) -> Tensor:
        """Draw a ranking that is uniform in (0, 1), float32[N_free] on the network's device."""
        from slt_bench.networks.source import uniform_scores

        source = self.network.source
        return uniform_scores(source.to("cpu"), self.seed).to(source.weights.device)

    def compose(self, phase: int) -> Tensor:
        """Keep the edges with the largest entries; see `Method`."""
        self.selector.select(self.learned, self.keep[phase], self.by_magnitude)
        self.network.compose()
        return self.network.mask

    def check_finite(self) -> None:
        """Check that the ranking has no NaN and no infinity, where no selection does; on a GPU the loop alone does.

        Raises:
            Diverged: it has.
        """
        from slt_bench.ticket.top_k import Diverged

        if not self.learned.is_cuda and not bool(self.learned.isfinite().all()):
            raise Diverged("a score is NaN or infinite")

    def found(self) -> Found:
        """Give the mask; see `Method`."""
        from slt_bench.ticket.found import Found

        return Found(mask=self.network.mask)
