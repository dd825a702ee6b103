"""Bernoulli masks: each step keeps an edge with a probability that is learned (Zhou et al. 2019; Isik et al. 2023, FedPM)."""

from __future__ import annotations

from math import log
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from slt_bench.common.colours import INDIGO, ROSE
from slt_bench.search.methods.contract import Phase
from slt_bench.search.methods.ranking import Ranking
from slt_bench.search.methods.signed_edge_popup import SignedMethod

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


class BernoulliMethod(SignedMethod["Bernoulli"]):
    """A score for each free edge, whose sigmoid is the probability that the next step keeps the edge."""

    def start(self, phases: Sequence[Phase]) -> None:
        """Draw scores around the one whose probability is the ticket's density; see `Method`."""
        import torch

        super().start(phases)
        share = min(max(sum(self.keep[-1]) / max(1, self.learned.numel()), 1e-4), 1 - 1e-4)
        self.learned += log(share / (1 - share))
        self.steps = torch.zeros((), dtype=torch.int64)  # done so far: the number of the next mask

    def compose(self, phase: int) -> Tensor:
        """Draw the mask of the next step; see `Method`."""
        import torch

        from slt_bench.common import random

        self.check_finite()
        values = random.uniform(self.seed, "gates", int(self.steps), self.learned.numel()).astype("float32")
        torch.lt(torch.from_numpy(values).to(self.learned.device), self.learned.sigmoid(), out=self.network.mask)
        self.network.compose()
        return self.network.mask

    def settle(self, phase: int) -> bool:
        """Keep the exact number of edges, the most probable; see `Method`."""
        super().compose(phase)
        return True

    def surrogate(self, learned: Tensor) -> Tensor:
        """Let gradients through the probability p, or, as FedPM's code does, through p^2 / 2; see `Method`."""
        probability = learned.sigmoid()
        factor = probability if self.search.gradient == "probability" else probability.square() / 2
        return self.network.free_weights * factor

    def gradient(self, by_weights: Tensor) -> Tensor:
        """Compute the gradient g w p (1 - p), times p for FedPM; see `Method`."""
        probability = self.learned.sigmoid()
        gradient = super().gradient(by_weights).mul_(probability).mul_(1 - probability)
        return gradient if self.search.gradient == "probability" else gradient.mul_(probability)

    def after_step(self, steps: int) -> None:
        """Count the steps; see `Method`."""
        self.steps.fill_(steps)

    def state(self) -> dict[str, Tensor]:
        """Give the scores, and the number of the next mask; see `Method`."""
        return super().state() | {"steps": self.steps}

    def load(self, state: dict[str, Tensor]) -> None:
        """Take over what `state` gave."""
        super().load(state)
        self.steps.copy_(state["steps"])


class Bernoulli(Ranking):
    """Bernoulli masks: every step draws a mask from learned probabilities; the ticket keeps the most probable edges."""

    kind: Literal["bernoulli"]
    gradient: Literal["probability", "fedpm"] = Field(
        "probability", description="of a score, through its probability p: g w p (1 - p); fedpm: p times that, as its code does"
    )

    algorithm: ClassVar = BernoulliMethod

    @property
    def colour(self) -> str:
        """Indigo, and rose with FedPM's gradient."""
        return ROSE if self.gradient == "fedpm" else INDIGO

    @property
    def label(self) -> str:
        """The name of the search in tables."""
        return self._label(f"Bernoulli{' (FedPM)' if self.gradient == 'fedpm' else ''} (cut to size)")
