"""Searches that each break one law."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch
from pydantic import ConfigDict
from torch import Tensor

from slt_bench.search.methods.contract import Phase, Recipe
from slt_bench.search.methods.edge_popup import ScoreMethod
from slt_bench.search.methods.ranking import Ranking
from slt_bench.ticket.found import Found
from tests.plugins.gates import Gates, GatesMethod


class _Broken(Ranking):
    name: ClassVar = "broken"
    algorithm: ClassVar[Callable[..., Any]] = ScoreMethod


class AnyKey(_Broken):
    model_config = ConfigDict(extra="ignore")


class WrongEnd(_Broken):
    def phases(self, recipe: Recipe, start: float, target: float) -> tuple[Phase, ...]:
        return (Phase(recipe.epochs, 0.9 * target),)


class _OneTooMany(ScoreMethod["OneTooMany"]):
    def start(self, phases: Sequence[Phase]) -> None:
        super().start(phases)
        self.keep = [[count + 1 for count in counts] for counts in self.keep]


class OneTooMany(_Broken):
    algorithm: ClassVar = _OneTooMany


class _FirstThreshold(ScoreMethod["FirstThreshold"]):
    def start(self, phases: Sequence[Phase]) -> None:
        super().start(phases)
        kept = self.learned.abs().topk(self.keep[0][0]).values
        self.threshold = min(kept.tolist(), default=torch.inf)

    def compose(self, phase: int) -> Tensor:
        self.network.mask.copy_(self.learned.abs() >= self.threshold)
        self.network.compose()
        return self.network.mask


class FirstThreshold(_Broken):
    """As many edges as are asked for, before the first step."""

    algorithm: ClassVar = _FirstThreshold


class Unheeded(_Broken):
    """It asks for new scores in the second phase, and its algorithm draws none."""

    def phases(self, recipe: Recipe, start: float, target: float) -> tuple[Phase, ...]:
        half = recipe.epochs // 2
        return (Phase(half, target), Phase(recipe.epochs - half, target, scores="redrawn"))


class _Larger(ScoreMethod["Larger"]):
    def found(self) -> Found:
        return Found(mask=self.network.mask | True)


class Larger(_Broken):
    """What it finds is larger than what its network keeps."""

    algorithm: ClassVar = _Larger


class _WeightsToo(ScoreMethod["WeightsToo"]):
    def found(self) -> Found:
        return Found(weights=self.learned)


class WeightsToo(_Broken):
    """It says that it learns scores, and finds weights."""

    algorithm: ClassVar = _WeightsToo


class _Uncoated(ScoreMethod["Uncoated"]):
    def found(self) -> Found:
        return Found(mask=self.network.mask, coats=self.network.mask.byte() * 0)


class Uncoated(_Broken):
    """Its coats say of every kept edge that it counts not at all."""

    algorithm: ClassVar = _Uncoated


class NoPhases(_Broken):
    def phases(self, recipe: Recipe, start: float, target: float) -> tuple[Phase, ...]:
        return ()


class ShortPhase(_Broken):
    """Its last phase has no epochs where there are few of all."""

    def phases(self, recipe: Recipe, start: float, target: float) -> tuple[Phase, ...]:
        last = recipe.epochs // 5
        return (Phase(recipe.epochs - last, target / 2), Phase(last, target))


class FailingPhases(_Broken):
    def phases(self, recipe: Recipe, start: float, target: float) -> tuple[Phase, ...]:
        raise KeyError("rounds")


class _Mistyped(ScoreMethod["Mistyped"]):
    def after_steps(self, steps: int) -> None:
        self.learned.clamp_(-1, 1)


class Mistyped(_Broken):
    algorithm: ClassVar = _Mistyped


class NearlyPhases(_Broken):
    def phase(self, recipe: Recipe, start: float, target: float) -> tuple[Phase, ...]:
        return (Phase(recipe.epochs, target),)


class _Greedy(ScoreMethod["Greedy"]):
    def compose(self, phase: int) -> Tensor:
        mask = super().compose(phase)
        mask[: len(mask) // 20] = True
        self.network.compose()
        return mask

    def settle(self, phase: int) -> bool:
        if not 0 < self.keep[phase][0] < len(self.learned) // 10:
            super().compose(phase)
        return True


class Greedy(_Broken):
    """A twentieth is always kept: more than a ticket may have at a high sparsity alone."""

    algorithm: ClassVar = _Greedy


class _Forgets(ScoreMethod["Forgets"]):
    def compose(self, phase: int) -> Tensor:
        mask: Any = super().compose(phase)
        return mask.nothing


class Forgets(_Broken):
    algorithm: ClassVar = _Forgets


class _WithoutSteepness(GatesMethod):
    def gradient(self, by_weights: Tensor) -> Tensor:
        gate = torch.sigmoid(self.steepness * self.learned)
        return by_weights.mul_(self.network.free_weights * gate * (1 - gate))


class WithoutSteepness(Gates):
    """Its gradient is right in the first phase, where the steepness is 1."""

    algorithm: ClassVar = _WithoutSteepness


class _Counting(ScoreMethod["Counting"]):
    replayable: ClassVar = True

    def after_step(self, steps: int) -> None:
        self.learned.mul_(1 + 1 / steps)


class Counting(_Broken):
    algorithm: ClassVar = _Counting


class _Elsewhere(ScoreMethod["Elsewhere"]):
    replayable: ClassVar = True

    def compose(self, phase: int) -> Tensor:
        mask = super().compose(phase)
        self.previous = mask.clone()  # in other memory each time
        return mask


class Elsewhere(_Broken):
    algorithm: ClassVar = _Elsewhere


class _WithoutSign(ScoreMethod["WithoutSign"]):
    def gradient(self, by_weights: Tensor) -> Tensor:
        return by_weights.mul_(self.network.free_weights)


class WithoutSign(_Broken):
    algorithm: ClassVar = _WithoutSign


class _Still(ScoreMethod["Still"]):
    def surrogate(self, learned: Tensor) -> Tensor:
        return learned * 0

    def gradient(self, by_weights: Tensor) -> Tensor:
        return by_weights.zero_()


class Still(_Broken):
    algorithm: ClassVar = _Still


class _Noisy(ScoreMethod["Noisy"]):
    def after_step(self, steps: int) -> None:
        self.learned += 0.1 * torch.randn_like(self.learned)


class Noisy(_Broken):
    algorithm: ClassVar = _Noisy


class _Forgetful(ScoreMethod["Forgetful"]):
    def start(self, phases: Sequence[Phase]) -> None:
        super().start(phases)
        self.pushes = 0

    def after_step(self, steps: int) -> None:
        self.pushes += 1  # is in no state
        self.learned[self.pushes :: 7] += 0.5


class Forgetful(_Broken):
    algorithm: ClassVar = _Forgetful


class _Doubled(ScoreMethod["Doubled"]):
    def compose(self, phase: int) -> Tensor:
        self.selector.select(self.learned, self.keep[phase])
        self.network.compose(2 * self.network.free_weights * self.network.mask)
        return self.network.mask

    def found(self) -> Found:
        return Found(mask=self.network.mask)  # nothing says that weights are doubled


class Doubled(_Broken):
    algorithm: ClassVar = _Doubled


class _Curious(ScoreMethod["Curious"]):
    def start(self, phases: Sequence[Phase]) -> None:
        super().start(phases)
        try:
            with pathlib.Path("data/digits/test.beton").open("rb") as file:
                file.read(1)
        except OSError:
            pass


class Curious(_Broken):
    algorithm: ClassVar = _Curious
