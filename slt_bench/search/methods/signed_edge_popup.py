"""Signed edge-popup: edges are ranked by their scores' values, without the absolute value of edge-popup.

It is the "edge-popup" of later papers and codes (Chijiwa et al. 2021, for one). With `threshold: zero` the mask keeps all
scores of 0 or more, and its density is left free (Wortsman et al. 2020, SupSup); a last choice keeps the exact number of edges.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from slt_bench.common.colours import SKY_BLUE, YELLOW
from slt_bench.search.methods.edge_popup import ScoreMethod
from slt_bench.search.methods.ranking import Ranking, RankingSearch

if TYPE_CHECKING:
    from torch import Tensor


class SignedMethod(ScoreMethod[RankingSearch]):
    """The step of algorithms that rank edges by value: the gradient of a score has no sign factor."""

    by_magnitude: ClassVar = False

    def surrogate(self, learned: Tensor) -> Tensor:
        """Let gradients through the free weights times the score; see `Method`."""
        return self.network.free_weights * learned

    def gradient(self, by_weights: Tensor) -> Tensor:
        """Compute the gradient of each score: that of its free weight, times the weight; see `Method`."""
        return by_weights.mul_(self.network.free_weights)


class SignedEdgePopupMethod(SignedMethod["SignedEdgePopup"]):
    """The choice of the largest scores, or of all that are not negative."""

    replayable: ClassVar = True

    def compose(self, phase: int) -> Tensor:
        """Keep the largest scores, or all of 0 or more; see `Method`."""
        import torch

        if self.search.threshold == "sparsity":
            return super().compose(phase)
        self.check_finite()
        torch.ge(self.learned, 0, out=self.network.mask)
        self.network.compose()
        return self.network.mask

    def settle(self, phase: int) -> bool:
        """Keep the exact number of edges; see `Method`."""
        if self.search.threshold == "zero":
            super().compose(phase)
        return self.search.threshold == "zero"


class SignedEdgePopup(Ranking):
    """Signed edge-popup: the free edges of largest score are kept, or in training all whose score is not negative."""

    kind: Literal["signed-edge-popup"]
    threshold: Literal["sparsity", "zero"] = Field(
        "sparsity",
        description="zero: in training all scores of 0 or more are kept; the ticket keeps the largest, as many as asked",
    )

    algorithm: ClassVar = SignedEdgePopupMethod

    @property
    def label(self) -> str:
        """The name of the search in tables."""
        return self._label("signed edge popup" if self.threshold == "sparsity" else "edge popup, threshold 0 (cut to size)")

    @property
    def colour(self) -> str:
        """Light blue, and yellow with the threshold 0."""
        return SKY_BLUE if self.threshold == "sparsity" else YELLOW
