"""Biprop: edge-popup on binary weights, one magnitude for all kept weights of a layer (Diffenderfer and Kailkhura 2021)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from slt_bench.common.colours import WINE
from slt_bench.search.methods.edge_popup import ScoreMethod
from slt_bench.search.methods.ranking import Ranking

if TYPE_CHECKING:
    from torch import Tensor

    from slt_bench.ticket.found import Found


class BipropMethod(ScoreMethod["Biprop"]):
    """Edge-popup's choice and gradient; the weights that the network computes with are binary."""

    replayable: ClassVar = True

    def compose(self, phase: int) -> Tensor:
        """Keep the largest scores; a weight is its sign times the mean magnitude of what its layer keeps. See `Method`."""
        network = self.network
        self.selector.select(self.learned, self.keep[phase])
        network.compose(network.free_weights.sign() * network.spread(self._gains()) * network.mask)
        return network.mask

    def _gains(self) -> Tensor:
        """Compute the mean magnitude of the kept weights of each layer, float32[layers]; 0 where none is kept."""
        import torch

        kept, mask = (self.network.free_weights * self.network.mask).abs().double(), self.network.mask
        layers = zip([0, *self.network.free_stops[:-1]], self.network.free_stops, strict=True)
        # In double precision a sum of equal weights is exact, and so is their mean.
        means = [kept[start:stop].sum() / mask[start:stop].sum().clamp(min=1) for start, stop in layers]
        return torch.stack(means).float()

    def found(self) -> Found:
        """Give the mask and each layer's magnitude; see `Method`."""
        from slt_bench.ticket.found import Found

        return Found(mask=self.network.mask, gains=self._gains())


class Biprop(Ranking):
    """Biprop: edge-popup on binary weights. In a source of signed constants it is edge-popup."""

    kind: Literal["biprop"]

    name: ClassVar = "biprop"
    hue: ClassVar = WINE
    algorithm: ClassVar = BipropMethod
