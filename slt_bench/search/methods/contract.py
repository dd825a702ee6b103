"""The contract between a search algorithm and the loop that runs it.

A step of the loop: forward and backward pass under the effective weights, `gradient` for each micro-batch, a step of the
optimizer on `learned`, `compose`. A phase begins with `begin_phase`; a ticket is taken from `found`.

Files of algorithms import torch inside their functions: `slt-bench plan` asks for `phases` alone, and must answer at once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

from slt_bench.search.schedules import Phase

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from slt_bench.params.recipes import Recipe
    from slt_bench.params.searches import Learned
    from slt_bench.search.optimizer import Sgd
    from slt_bench.ticket.masked_network import MaskedNetwork

Declaration = TypeVar("Declaration")  # of the algorithm's parameters, in params/searches.py


@dataclass(frozen=True)
class Found:
    """The subnetwork that an algorithm has found so far, as a ticket stores it; live tensors, so copy what must stay."""

    mask: Tensor | None = None  # bool[N_free]
    weights: Tensor | None = None  # float32[N_free], where the free weights were trained


class Method(ABC, Generic[Declaration]):
    """A search algorithm at work on one network: the vector that the optimizer moves, and the subnetwork it stands for.

    Attributes:
        network: whose mask and effective weights the algorithm sets.
        learns: what the optimizer moves, as the header of a ticket calls it; with "nothing" no gradient is computed.
        learned: float32[N_free] on the network's device. The optimizer moves it in place, unless `learns` is "nothing".
    """

    network: MaskedNetwork
    learns: ClassVar[Learned]
    learned: Tensor

    @abstractmethod
    def __init__(self, search: Declaration, network: MaskedNetwork, phases: Sequence[Phase], recipe: Recipe, seed: int) -> None:
        """Allocate what the algorithm learns, as it is before the first step.

        Args:
            search: the parameters of the algorithm.
            network: whose mask and effective weights the algorithm sets.
            phases: what `phases` gave.
            recipe: how the first values are drawn.
            seed: of the streams of random numbers.
        """

    @staticmethod
    @abstractmethod
    def phases(search: Declaration, recipe: Recipe, start: float, target: float) -> tuple[Phase, ...]:
        """List the phases of the search.

        Args:
            search: the parameters of the algorithm.
            recipe: how long a search is trained.
            start: sparsity of the source network, in [0, 1].
            target: sparsity of the ticket, in [start, 1].

        Returns:
            At least one phase; the ticket is one of the last phase.
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

    def gradient(self, by_weights: Tensor) -> Tensor:
        """Turn a gradient by the free weights into one by `learned`; a penalty on `learned` adds its gradient here.

        Args:
            by_weights: float32[N_free], by the free weights that the network computed with, before scaling; may be changed.

        Returns:
            float32[N_free]; may be `by_weights`.
        """
        return by_weights

    def begin_phase(self, phase: Phase, number: int, optimizer: Sgd) -> None:
        """Prepare what is learned, and the optimizer's momentum, for a phase; most algorithms have nothing to do.

        Args:
            phase: the phase that begins; the network still has the mask of the last step.
            number: of the phase, from 0.
            optimizer: of `learned`.
        """

    @abstractmethod
    def found(self) -> Found:
        """Give the subnetwork that the learned values stand for now."""

    def state(self) -> dict[str, Tensor]:
        """Give everything that the rest of the search depends on, the same in every process."""
        return {"learned": self.learned}

    def load(self, state: dict[str, Tensor]) -> None:
        """Take over what `state` gave.

        Args:
            state: tensors on any device.
        """
        self.learned.copy_(state["learned"])
