"""The contract between a search algorithm and the loop that runs it.

An algorithm is one file with two classes: a `Search`, which declares its parameters and phases, and a `Method`, which does the
work. A step of the loop: forward and backward pass under the effective weights, `gradient` for each micro-batch, `learn` by
their sum, `after_step`, `compose`. A phase begins with `begin_phase`. Before a validation, and with it before a
ticket is taken from `found`, the loop calls `settle`.

Files of algorithms import torch inside their functions: `slt-bench plan` reads the declarations alone, and must answer at once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from slt_bench.params.recipes import Recipe as Recipe
from slt_bench.params.searches import Phase as Phase
from slt_bench.params.searches import Search as Search

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from slt_bench.search.steps.optimizer import Sgd
    from slt_bench.ticket.found import Found
    from slt_bench.ticket.masked_network import MaskedNetwork

Declaration = TypeVar("Declaration", bound=Search)


class Method(ABC, Generic[Declaration]):
    """A search algorithm at work on one network: the vector that the optimizer moves, and the subnetwork it stands for.

    Attributes:
        search: the parameters of the algorithm.
        network: whose mask and effective weights the algorithm sets.
        recipe: how the first values are drawn.
        seed: of the streams of random numbers.
        learned: float32[N_free] on the network's device. The optimizer moves it in place, unless the search learns nothing.
        replayable: whether a step is the same work on the same memory every time: then a GPU records it once (a CUDA graph).
            Nothing may be read by the host or depend on the number of the step. Each class says so for itself.
    """

    learned: Tensor
    replayable: ClassVar[bool] = False

    def __init__(self, search: Declaration, network: MaskedNetwork, phases: Sequence[Phase], recipe: Recipe, seed: int) -> None:
        """Take the parts, and call `start`.

        Args:
            search: the parameters of the algorithm.
            network: whose mask and effective weights the algorithm sets.
            phases: what the declaration's `phases` gave.
            recipe: how the first values are drawn.
            seed: of the streams of random numbers.
        """
        self.search, self.network, self.recipe, self.seed = search, network, recipe, seed
        self.start(phases)

    @abstractmethod
    def start(self, phases: Sequence[Phase]) -> None:
        """Set `learned` and allocate whatever else is needed, as it is before the first step.

        Args:
            phases: what the declaration's `phases` gave.
        """

    @abstractmethod
    def compose(self, phase: int) -> Tensor:
        """Set the network's mask and effective weights for the next step.

        The result must depend on `state` alone: after a stop the loop composes once more.

        Args:
            phase: number of the phase, from 0.

        Returns:
            The network's mask, bool[N_free], overwritten by the next call.

        Raises:
            Diverged: a learned value is NaN or infinite.
        """

    def surrogate(self, learned: Tensor) -> Tensor:
        """Give the differentiable function through which gradients reach what is learned.

        Where the effective weights are no differentiable function of `learned`, this is what stands for them in the backward
        pass: the straight-through estimator of edge-popup is w |s|, for one. `slt-bench check-search` compares `gradient` with
        it.

        Args:
            learned: float32[N_free] or float64[N_free]; the result is differentiated by it.

        Returns:
            Of the same type and shape: the free weights before scaling.
        """
        raise NotImplementedError(f"{type(self).__name__} needs a surrogate, or a gradient of its own")

    def penalty(self, learned: Tensor) -> Tensor | None:
        """Give a term that is added to the loss, differentiable by what is learned; None for none.

        Args:
            learned: as that of `surrogate`.

        Returns:
            A scalar.
        """
        return None

    def gradient(self, by_weights: Tensor) -> Tensor:
        """Turn a gradient by the free weights into one by `learned`: the chain rule through `surrogate`, and the penalty's.

        An algorithm may write out the formula instead, which is faster.

        Args:
            by_weights: float32[N_free], by the free weights that the network computed with, before scaling; may be changed.

        Returns:
            float32[N_free]; may be `by_weights`.
        """
        import torch

        with torch.enable_grad():
            learned = self.learned.detach().requires_grad_()
            objective = torch.dot(self.surrogate(learned), by_weights)
            if (penalty := self.penalty(learned)) is not None:
                objective = objective + penalty
            (gradient,) = torch.autograd.grad(objective, learned)
        return gradient

    def begin_phase(self, phase: Phase, number: int, optimizer: Sgd) -> None:
        """Prepare what is learned, and the optimizer's momentum, for a phase; most algorithms have nothing to do.

        Args:
            phase: the phase that begins; the network still has the mask of the last step.
            number: of the phase, from 0.
            optimizer: of `learned`.
        """

    def learn(self, gradient: Tensor, rate: float | Tensor, optimizer: Sgd) -> None:
        """Move what is learned by the gradient of a whole batch; those of the recipe's SGD if left as it is.

        An algorithm with another rule, as Adam or the signs of the gradient, writes it here, and gives what it remembers as
        `state`. The recipe's momentum and weight decay are then for it to heed or not.

        Args:
            gradient: float32[N_free], by `learned`; it may be used up.
            rate: learning rate of the recipe's schedule, at least 0; a float32[] on the device of a GPU.
            optimizer: of `learned`.
        """
        optimizer.step(gradient, rate)

    def after_step(self, steps: int) -> None:
        """Change what is learned after a step of the optimizer: clamp it, or draw weights anew; most have nothing to do.

        Args:
            steps: of the whole search that are done, from 1.
        """

    def settle(self, phase: int) -> bool:
        """Compose the subnetwork that a ticket taken now would store, where that is not the one of the next step.

        An algorithm whose masks are random, or do not keep the exact number of edges, takes its last choice here.

        Args:
            phase: number of the phase, from 0.

        Returns:
            Whether it was another: then batch-norm statistics are gathered afresh, by a pass over the images.
        """
        return False

    @abstractmethod
    def found(self) -> Found:
        """Give the subnetwork that the network has now been composed of."""

    def state(self) -> dict[str, Tensor]:
        """Give everything that the rest of the search depends on, the same in every process."""
        return {"learned": self.learned}

    def load(self, state: dict[str, Tensor]) -> None:
        """Take over what `state` gave.

        Args:
            state: tensors on any device.
        """
        self.learned.copy_(state["learned"])


def unheeded(method: Method[Any], phases: Sequence[Phase]) -> str:
    """Say what phases ask for as they begin and nobody does, since the algorithm has no `begin_phase`; empty if nothing is.

    Args:
        method: the algorithm.
        phases: of its declaration.
    """
    asks = any(phase.scores != "carried" or phase.inside_last_mask or phase.reset_momentum for phase in phases)
    if not asks or type(method).begin_phase is not Method.begin_phase:
        return ""
    return (
        f"{method.search.kind} has phases with scores, inside_last_mask or reset_momentum, which its algorithm, "
        f"{type(method).__name__}, does not heed: give it a begin_phase as iterative edge-popup has, or leave them out"
    )


def is_replayable(method: Method[Any]) -> bool:
    """Whether an algorithm's own class says that a step may be recorded; what its base says does not count."""
    return bool(vars(type(method)).get("replayable", False))
