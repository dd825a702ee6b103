"""The search algorithms by their kind in params.yaml."""

from __future__ import annotations

from typing import Any

from slt_bench.params.recipes import Recipe
from slt_bench.params.searches import Search
from slt_bench.search.methods.contract import Method
from slt_bench.search.methods.edge_popup import EdgePopupMethod
from slt_bench.search.methods.iterative_edge_popup import IterativeEdgePopupMethod
from slt_bench.search.methods.random_mask import RandomMaskMethod
from slt_bench.search.methods.weight_training import WeightTrainingMethod
from slt_bench.search.schedules import Schedule

METHODS: dict[str, type[Method[Any]]] = {
    "edge-popup": EdgePopupMethod,
    "iterative-edge-popup": IterativeEdgePopupMethod,
    "weight-training": WeightTrainingMethod,
    "random-mask": RandomMaskMethod,
}


def make_schedule(search: Search, recipe: Recipe, start: float, target: float) -> Schedule:
    """Make the schedule of a search, whose algorithm lists the phases; arguments as those of `Method.phases`."""
    return Schedule(METHODS[search.kind].phases(search, recipe, start, target))
