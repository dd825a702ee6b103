"""A cell: one experiment, with a readable id and an identity."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from slt_bench.common import paths
from slt_bench.common.text import digest, percent
from slt_bench.params.base import Model, Seed
from slt_bench.params.datasets import Dataset
from slt_bench.params.networks import Network
from slt_bench.params.recipes import Recipe
from slt_bench.params.searches import Search
from slt_bench.params.sources import Parent, Source


class Cell(Model):
    """One experiment of a table, fully resolved: dataset x network x source x search x recipe x sparsity x seed."""

    table: str
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
    def directory(self) -> Path:
        """Where its results lie."""
        return paths.cells_dir(self.table) / self.id

    @property
    def parent_directory(self) -> Path | None:
        """Where the results of the cell lie whose ticket its source is made from."""
        parent = self.source.parent
        return paths.cells_dir(self.table) / parent.id if parent else None

    def as_parent(self, own_seed: bool = False) -> Parent:
        """Describe this cell to one whose source is made from its ticket; `own_seed`: a seed was chosen for this one."""
        return Parent(
            id=self.id, identity=self.identity, search_name=self.search_name, recipe_name=self.recipe_name,
            sparsity=self.sparsity, seed=self.seed, own_seed=own_seed,
        )  # fmt: skip

    def parameters(self) -> dict[str, Any]:
        """Everything that it is, in plain values; the table that names it is no part of that."""
        return self.model_dump(mode="json", exclude={"table"})

    @property
    def identity(self) -> str:
        """The digest of what determines the result; names are no part of it."""
        names: Any = {f"{axis}_name": True for axis in ("dataset", "network", "search", "recipe")}
        # Without defaults: a parameter that is new changes the identity of no cell that does not use it.
        content = self.model_dump(mode="json", exclude=names | {"table": True, "source": {"parent"}}, exclude_defaults=True)
        content["dataset"]["images"].pop("path", None)  # where the images lie; what they are is in the manifest's digest
        if parent := self.source.parent:
            content["source"]["ticket_identity"] = parent.identity
            content["source"] |= {"ticket_seed": parent.seed} if parent.own_seed else {}
        return digest(content)
