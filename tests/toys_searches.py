"""Small searches for tests: algorithms at work on a network, without a loop around them, and the records of whole ones."""

from __future__ import annotations

from typing import Any

from slt_bench.experiment.cell import Cell
from slt_bench.params.recipes import Recipe
from slt_bench.params.searches import Phase, Selection
from slt_bench.search.methods.edge_popup import EdgePopup, ScoreMethod
from slt_bench.search.run import search
from slt_bench.ticket.masked_network import MaskedNetwork

RECIPE = Recipe(epochs=5, batch_size=8, learning_rate=0.1)


def edge_popup(network: MaskedNetwork, sparsity: float = 0.5, selection: Selection = "global") -> ScoreMethod[EdgePopup]:
    """Edge-popup on a network, its first mask composed."""
    method = ScoreMethod(EdgePopup(kind="edge-popup", selection=selection), network, (Phase(1, sparsity),), RECIPE, seed=0)
    method.compose(0)
    return method


def record_of(cell: Cell) -> dict[str, Any]:
    """Search a cell's ticket; returns the record of it."""
    record = search(cell)
    assert record is not None
    return record
