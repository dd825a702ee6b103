"""A cell: one experiment, with a readable id and an identity."""

from __future__ import annotations

from typing import Any

from slt_bench.common.text import digest, percent
from slt_bench.params.base import Model, Seed
from slt_bench.params.datasets import Dataset
from slt_bench.params.networks import Network
from slt_bench.params.recipes import Recipe
from slt_bench.params.searches import Search
from slt_bench.params.sources import Source


class Cell(Model):
    """One experiment, fully resolved: dataset x network x source x search x recipe x sparsity x seed."""

    dataset_name: str
    dataset: Dataset
    network_name: str
    network: Network
    source: Source
    search_name: str
    search: Search
    recipe_name: str
    recipe: Recipe
    sparsity: float
    seed: Seed

    @property
    def setting(self) -> str:
        """The id without the seed: what several seeds have in common."""
        names = (self.dataset_name, self.network_name, self.source.id, self.search_name, self.recipe_name)
        return "_".join((*names, f"s{percent(self.sparsity)}"))

    @property
    def id(self) -> str:
        """Readable and unique within params.yaml: the names and numbers of everything that varies."""
        return f"{self.setting}_seed{self.seed}"

    @property
    def free_kept(self) -> float:
        """Share of the free edges that the ticket keeps; 0 where none is free."""
        free = 1 - self.source.freezing_ratio
        return round((1 - self.source.lock_ratio - self.sparsity) / free, 6) if free > 1e-9 else 0.0

    @property
    def identity(self) -> str:
        """Hash of what determines the result; names are not part of it."""
        names: Any = {f"{axis}_name": True for axis in ("dataset", "network", "search", "recipe")} | {"source": {"ticket"}}
        # Without defaults: a parameter that is new changes the identity of no cell that does not use it.
        content = self.model_dump(mode="json", exclude=names, exclude_defaults=True)
        content["dataset"]["images"].pop("path", None)  # where the images lie; what they are is in the manifest's digest
        return digest(content)
