"""Edge-popup: scores are learned, and the free edges with the largest scores are kept (Ramanujan et al. 2020)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from slt_bench.params.searches import EdgePopup, Learned, iterations_at
from slt_bench.search.methods.ranking import RankingMethod, RankingSearch
from slt_bench.search.schedules import Phase

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from slt_bench.params.recipes import Recipe
    from slt_bench.ticket.masked_network import MaskedNetwork


class ScoreMethod(RankingMethod[RankingSearch]):
    """The step of edge-popup and its relatives: a score for each free edge, and a mask of the largest by magnitude."""

    learns: ClassVar[Learned] = "scores"

    def __init__(
        self, search: RankingSearch, network: MaskedNetwork, phases: Sequence[Phase], recipe: Recipe, seed: int
    ) -> None:
        """Draw the first scores, and allocate the memory of a step; see `Method`."""
        import torch

        super().__init__(search, network, phases, recipe, seed)
        self._signs = torch.empty_like(self.learned)

    def draw_ranking(self, draw: int) -> Tensor:
        """Draw scores; see `RankingMethod`."""
        from slt_bench.networks.source import initial_scores

        source = self.network.source
        return initial_scores(source.to("cpu"), self.seed, self.recipe.score_init, draw).to(source.weights.device)

    def gradient(self, by_weights: Tensor) -> Tensor:
        """Compute the gradient of each score: that of its free weight, times the weight and the score's sign (law 3).

        This is the straight-through estimator of |score| (Ramanujan et al. 2020, section 3.1). A score of 0 gets none.

        Args:
            by_weights: float32[N_free], by the free weights; it is changed.

        Returns:
            float32[N_free], which is `by_weights`.
        """
        import torch

        return by_weights.mul_(self.network.free_weights).mul_(torch.sign(self.learned, out=self._signs))


class EdgePopupMethod(ScoreMethod[EdgePopup]):
    """Edge-popup: one phase at the final sparsity (Ramanujan et al. 2020)."""

    @staticmethod
    def phases(search: EdgePopup, recipe: Recipe, start: float, target: float) -> tuple[Phase, ...]:
        """List the one phase, which may be as long as the iterations of iterative edge-popup; see `Method`."""
        length = iterations_at(search.keep, start, target) if search.keep else search.length
        return (Phase(recipe.epochs * length, target),)
