"""IteRand: signed edge-popup whose dropped weights are drawn anew now and then (Chijiwa et al. 2021)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from slt_bench.common.colours import ORANGE
from slt_bench.search.methods.contract import Phase
from slt_bench.search.methods.ranking import Ranking
from slt_bench.search.methods.signed_edge_popup import SignedMethod

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from slt_bench.ticket.found import Found

_MOST_DRAWS = 255  # as a ticket's format holds them; a weight that was drawn so often stays


class IteRandMethod(SignedMethod["IteRand"]):
    """The step of signed edge-popup, and a count of draws for each free edge, from which its weight follows."""

    def start(self, phases: Sequence[Phase]) -> None:
        """Begin with the weights of the source network; see `Method`."""
        import torch

        super().start(phases)
        self.draws = torch.zeros_like(self.learned, dtype=torch.uint8)

    def after_step(self, steps: int) -> None:
        """Draw the weight of each dropped edge anew with some probability, every so many steps; see `Method`."""
        import torch

        from slt_bench.common import random

        if steps % self.search.every:
            return
        values = random.uniform(self.seed, "redraw", steps // self.search.every, self.draws.numel())
        chosen = torch.from_numpy(values < self.search.probability).to(self.draws.device)
        chosen &= ~self.network.mask & (self.draws < _MOST_DRAWS)
        self.draws += chosen
        self._use_draws(chosen)

    def _use_draws(self, changed: Tensor) -> None:
        """Give the network the weights of the present draws, where these have changed."""
        import torch

        from slt_bench.networks.source import redrawn_weights

        drawn = redrawn_weights(self.network.source, self.seed, self.recipe.weight_init, self.draws * changed)
        self.network.use_free_weights(torch.where(changed, drawn, self.network.free_weights))

    def found(self) -> Found:
        """Give the mask, and how often each weight was drawn anew; see `Method`."""
        from slt_bench.ticket.found import Found

        return Found(mask=self.network.mask, draws=self.draws)

    def state(self) -> dict[str, Tensor]:
        """Give scores and draws; see `Method`."""
        return super().state() | {"draws": self.draws}

    def load(self, state: dict[str, Tensor]) -> None:
        """Take over what `state` gave."""
        super().load(state)
        self.draws.copy_(state["draws"])
        self._use_draws(self.draws > 0)


class IteRand(Ranking):
    """IteRand: every so many steps, each dropped weight is drawn anew with some probability; a ticket counts the draws."""

    kind: Literal["iterand"]
    every: int = Field(300, ge=1, description="steps between draws")
    probability: float = Field(0.1, ge=0, le=1, description="of a dropped weight to be drawn anew")

    name: ClassVar = "IteRand"
    hue: ClassVar = ORANGE
    algorithm: ClassVar = IteRandMethod
