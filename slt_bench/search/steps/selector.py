"""The choice of a mask by a ranking: how many edges each phase keeps, and which."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from slt_bench.networks.budget import even_density
from slt_bench.params.searches import Phase, Selection
from slt_bench.ticket.masked_network import MaskedNetwork
from slt_bench.ticket.top_k import TopK


class Selector:
    """The rule by which a ranking of the free edges becomes the mask of a network."""

    def __init__(self, network: MaskedNetwork, selection: Selection = "global") -> None:
        """Allocate the memory of all selections.

        Args:
            network: whose mask is set.
            selection: one threshold over all layers, or one density for every layer.
        """
        self.network, self.selection = network, selection
        self.stops = network.free_stops if selection == "local" else [network.mask.numel()]  # where each threshold ends
        self._top_k = [TopK() for _ in self.stops]

    def keep_of_phases(self, phases: Sequence[Phase]) -> list[list[int]]:
        """Compute how many free edges the mask keeps in each phase.

        Args:
            phases: of the search.

        Returns:
            The result of `keep_for` for each phase.
        """
        keeps: list[list[int]] = []
        for phase in phases:
            keeps.append(self.keep_for(phase.sparsity, keeps[-1] if phase.inside_last_mask else None))
        return keeps

    def keep_for(self, sparsity: float, within: Sequence[int] | None = None) -> list[int]:
        """Compute how many free edges a ticket of some sparsity keeps: N - round(sN) less the locked ones.

        At an end of the feasible range the three roundings may disagree by one edge; then all or none are kept.

        Args:
            sparsity: share of all N edges that are zero, in [0, 1].
            within: an earlier result, where no layer may keep more than then.

        Returns:
            One number for all layers together (global selection), or one for each layer (local selection).
        """
        network = self.network
        locked = int(network.budget.locked.sum())
        kept_free = network.source.size - round(sparsity * network.source.size) - locked
        kept_free = min(max(kept_free, 0), network.mask.numel())
        return [kept_free] if self.selection == "global" else even_density(network.budget, locked + kept_free, within).tolist()

    def select(self, ranking: Tensor, keep: Sequence[int], by_magnitude: bool = True) -> None:
        """Set the network's mask to the edges with the largest entries; its effective weights are not composed yet.

        Args:
            ranking: float32[N_free].
            keep: the result of `keep_for`.
            by_magnitude: whether entries are compared by magnitude, and not by value.

        Raises:
            Diverged: an entry of the ranking is NaN or infinite.
        """
        start, mask = 0, self.network.mask
        for stop, count, top_k in zip(self.stops, keep, self._top_k, strict=True):
            top_k.keep(ranking[start:stop], count, mask[start:stop], by_magnitude)
            start = stop
