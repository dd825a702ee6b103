"""Signed supermasks: an edge is kept, negated or dropped, by the magnitude and the sign of its score (Koster et al. 2022)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from slt_bench.common.colours import GREEN
from slt_bench.search.methods.ranking import Ranking
from slt_bench.search.methods.signed_edge_popup import SignedMethod

if TYPE_CHECKING:
    from torch import Tensor

    from slt_bench.ticket.found import Found


class SignedSupermaskMethod(SignedMethod["SignedSupermask"]):
    """The choice of the scores of largest magnitude, whose signs multiply the weights."""

    replayable: ClassVar = True
    by_magnitude: ClassVar = True

    def compose(self, phase: int) -> Tensor:
        """Keep scores of large magnitude, with the weights' signs times theirs; see `Method`."""
        if self.search.threshold is None:
            self._keep_the_exact_number(phase)
        else:
            self.check_finite()
            self.network.mask.copy_(self.learned.abs() > self.search.threshold)
            self._compose_signed()
        return self.network.mask

    def settle(self, phase: int) -> bool:
        """Keep the exact number of edges; see `Method`."""
        self._keep_the_exact_number(phase)
        return self.search.threshold is not None

    def _keep_the_exact_number(self, phase: int) -> None:
        self.selector.select(self.learned, self.keep[phase])
        self._compose_signed()

    def _compose_signed(self) -> None:
        import torch

        weights = self.network.free_weights
        self.network.compose(torch.where(self.learned < 0, -weights, weights) * self.network.mask)

    def found(self) -> Found:
        """Give the mask, and where weights are negated; see `Method`."""
        from slt_bench.ticket.found import Found

        return Found(mask=self.network.mask, signs=self.learned < 0)


class SignedSupermask(Ranking):
    """Signed supermasks: a score decides whether its edge is kept, negated or dropped; a ticket has a sign a kept edge."""

    kind: Literal["signed-supermask"]
    threshold: float | None = Field(
        None,
        ge=0,
        description="in training all scores above it in magnitude are kept; the largest, as many as asked, if absent",
    )

    hue: ClassVar = GREEN
    algorithm: ClassVar = SignedSupermaskMethod

    @property
    def label(self) -> str:
        """The name of the search in tables."""
        cut = "" if self.threshold is None else f", threshold {self.threshold:g} (cut to size)"
        return self._label("signed supermask" + cut)
