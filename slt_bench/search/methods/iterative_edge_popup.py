"""Iterative edge-popup: edge-popup in iterations of rising sparsity, as phases (Iwasawa et al. 2023)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slt_bench.params.searches import IterativeEdgePopup
from slt_bench.search.methods.edge_popup import ScoreMethod
from slt_bench.search.schedules import Phase

if TYPE_CHECKING:
    from slt_bench.params.recipes import Recipe
    from slt_bench.search.optimizer import Sgd


class IterativeEdgePopupMethod(ScoreMethod[IterativeEdgePopup]):
    """Iterative edge-popup: soft keeps every edge in play, hard those of the last mask alone (Iwasawa et al. 2023)."""

    @staticmethod
    def phases(search: IterativeEdgePopup, recipe: Recipe, start: float, target: float) -> tuple[Phase, ...]:
        """List the iterations; see `Method`."""
        phases, count, epochs = [], search.count(start, target), recipe.epochs
        for i, sparsity in enumerate(_sparsities(search, count, start, target), start=1):
            later = i > 1
            phases.append(
                Phase(
                    epochs=epochs * i // count - epochs * (i - 1) // count if search.epochs == "total" else epochs,
                    sparsity=sparsity,
                    warmup=search.warmup == "every" or not later,
                    scores=search.scores if later else "carried",
                    inside_last_mask=search.space == "hard" and later,
                    reset_momentum=search.momentum == "reset" and later,
                )
            )
        return tuple(phases)

    def begin_phase(self, phase: Phase, number: int, optimizer: Sgd) -> None:
        """Set scores and momentum and, for hard iterations, close the edges that the last mask dropped (law 7).

        A closed edge has score and momentum 0: sign(0) = 0 gives it no gradient, so it stays at 0, behind all open edges.

        Args:
            phase: the iteration that begins; the network still has the mask of the last step.
            number: of the iteration, from 0.
            optimizer: of the scores.
        """
        if phase.scores != "carried":
            self.learned.copy_(self.draw_ranking(number if phase.scores == "redrawn" else 0))
        if phase.reset_momentum:
            optimizer.velocity.zero_()
        if phase.inside_last_mask:
            self.learned.mul_(self.network.mask)
            optimizer.velocity.mul_(self.network.mask)


def _sparsities(search: IterativeEdgePopup, count: int, start: float, target: float) -> list[float]:
    """Compute the sparsity of each iteration; the last one is exactly the target.

    Geometric is 1 - s_i = (1-p) ((1-s)/(1-p))^(i/n); in a dense source, p = 0, that is s_i = 1 - (1-q)^i (Iwasawa et al. 2023).

    Args:
        search: the parameters of the algorithm.
        count: number of iterations n.
        start: sparsity p of the source network, in [0, 1].
        target: sparsity s of the ticket, in [p, 1].

    Returns:
        One sparsity for each iteration.
    """
    if search.sparsities is not None:
        return search.sparsities
    steps = [i / count for i in range(1, count)]
    if search.rule == "linear":
        return [start + (target - start) * step for step in steps] + [target]
    if start >= 1:
        return [1.0] * count
    return [1 - (1 - start) * ((1 - target) / (1 - start)) ** step for step in steps] + [target]
