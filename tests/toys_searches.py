"""Small searches for tests: algorithms at work on a network, without a loop around them."""

from __future__ import annotations

from slt_bench.params.recipes import Recipe
from slt_bench.search.methods.edge_popup import EdgePopup, ScoreMethod
from slt_bench.search.schedules import Phase
from slt_bench.ticket.masked_network import MaskedNetwork

RECIPE = Recipe(epochs=5, batch_size=8, learning_rate=0.1)


def edge_popup(network: MaskedNetwork, sparsity: float = 0.5, selection: str = "global") -> ScoreMethod:
    """Edge-popup on a network, its first mask composed."""
    search = EdgePopup(kind="edge-popup", selection=selection)
    method = ScoreMethod(search, network, (Phase(1, sparsity),), RECIPE, seed=0)
    method.compose(0)
    return method
