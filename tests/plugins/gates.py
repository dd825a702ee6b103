"""Soft gates: weights are multiplied by the sigmoids of scores, ever steeper; the ticket keeps the edges of largest score."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from slt_bench.search.methods.contract import Method, Phase, Recipe, Search
from slt_bench.search.steps.selector import Selector
from slt_bench.ticket.found import Found


class GatesMethod(Method["Gates"]):
    """A score for each free edge, whose gate opens or closes more and more."""

    def start(self, phases: Sequence[Phase]) -> None:
        self.selector = Selector(self.network)
        self.keep = self.selector.keep_of_phases(phases)
        self.learned = torch.zeros_like(self.network.free_weights)  # half open

    def surrogate(self, learned: Tensor) -> Tensor:
        return self.network.free_weights * torch.sigmoid(self.steepness * learned)

    def compose(self, phase: int) -> Tensor:
        self.steepness = self.search.factor**phase
        self.network.mask.fill_(True)
        self.network.compose(self.surrogate(self.learned))
        return self.network.mask

    def settle(self, phase: int) -> bool:
        self.selector.select(self.learned, self.keep[phase], by_magnitude=False)
        self.network.compose()
        return True

    def found(self) -> Found:
        return Found(mask=self.network.mask)


class Gates(Search):
    """Soft gates, made steeper by a factor a few times in one sweep of the learning rate."""

    factor: float = Field(4.0, gt=1, description="of the gates' steepness, from phase to phase")
    rounds: int = Field(4, ge=1, le=100, description="phases of equal steepness")

    name: ClassVar = "soft gates"
    hue: ClassVar = "#E69F00"
    algorithm: ClassVar = GatesMethod

    def phases(self, recipe: Recipe, start: float, target: float) -> tuple[Phase, ...]:
        stops = [recipe.epochs * i // self.rounds for i in range(self.rounds + 1)]
        return tuple(Phase(b - a, target, epochs_before=a, epochs_after=stops[-1] - b) for a, b in pairwise(stops))

    def check(self, recipe: Recipe, start: float, target: float) -> None:
        if recipe.epochs < self.rounds:
            raise ValueError(f"{self.rounds} rounds need as many epochs, the recipe has {recipe.epochs}")
