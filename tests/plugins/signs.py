"""Edge-popup that moves each score by the sign of its gradient."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from slt_bench.search.methods.edge_popup import ScoreMethod
from slt_bench.search.methods.ranking import Ranking
from slt_bench.search.steps.optimizer import Sgd


class SignsMethod(ScoreMethod["Signs"]):
    replayable: ClassVar = True

    def learn(self, gradient: Tensor, rate: float | Tensor, optimizer: Sgd) -> None:
        self.learned.sub_(gradient.sign_().mul_(rate))


class Signs(Ranking):
    """Edge-popup by the signs of gradients."""

    name: ClassVar = "edge popup by signs"
    algorithm: ClassVar = SignsMethod
