"""Multicoated supermasks: an edge counts as often as its score exceeds one of several thresholds (Okoshi et al. 2022)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from slt_bench.common.colours import OLIVE
from slt_bench.search.methods.contract import Phase
from slt_bench.search.methods.edge_popup import ScoreMethod
from slt_bench.search.methods.ranking import Ranking

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from slt_bench.ticket.found import Found


class MulticoatedMethod(ScoreMethod["Multicoated"]):
    """Edge-popup with several nested masks of one vector of scores, which are added up."""

    replayable: ClassVar = True

    def start(self, phases: Sequence[Phase]) -> None:
        """Draw the first scores; see `Method`."""
        import torch

        super().start(phases)
        self.coats = torch.zeros_like(self.learned, dtype=torch.uint8)

    def compose(self, phase: int) -> Tensor:
        """Lay the coats, the smallest first; the mask is the largest. See `Method`."""
        self.coats.zero_()
        for coat in range(1, self.search.coats + 1):
            self.selector.select(self.learned, [count * coat // self.search.coats for count in self.keep[phase]])
            self.coats += self.network.mask
        self.network.compose(self.network.free_weights * self.coats)
        return self.network.mask

    def surrogate(self, learned: Tensor) -> Tensor:
        """Let gradients through each coat; see `Method`."""
        return self.search.coats * super().surrogate(learned)

    def gradient(self, by_weights: Tensor) -> Tensor:
        """Multiply edge-popup's gradient by the number of coats; see `Method`."""
        return super().gradient(by_weights).mul_(self.search.coats)

    def found(self) -> Found:
        """Give the mask, and the number of coats of each edge; see `Method`."""
        from slt_bench.ticket.found import Found

        return Found(mask=self.network.mask, coats=self.coats)


class Multicoated(Ranking):
    """Multicoated supermasks: nested masks add up. The first keeps what the sparsity says, the last 1/n of it."""

    kind: Literal["multicoated"]
    coats: int = Field(2, ge=2, le=255, description="number of nested masks")

    hue: ClassVar = OLIVE
    algorithm: ClassVar = MulticoatedMethod

    @property
    def label(self) -> str:
        """The name of the search in tables."""
        return self._label(f"multicoated, {self.coats} coats")
