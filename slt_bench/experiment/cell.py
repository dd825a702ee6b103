"""The cell: one experiment, with a readable id and an identity."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from slt_bench.common import paths
from slt_bench.common.plugins import is_plugin
from slt_bench.common.text import digest, percent
from slt_bench.params.base import Model, Seed
from slt_bench.params.datasets import Dataset
from slt_bench.params.networks import AnyNetwork
from slt_bench.params.recipes import Recipe
from slt_bench.params.searches import BUILT_IN, AnySearch, Phase
from slt_bench.params.sources import Parent, Source


class Cell(Model):
    """One experiment of a table, fully resolved: dataset x network x source x search x recipe x sparsity x seed."""

    table: str
    dataset_name: str
    dataset: Dataset
    network_name: str
    network: AnyNetwork
    source: Source
    search_name: str
    search: AnySearch
    recipe_name: str
    recipe: Recipe
    sparsity: float
    seed: Seed

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel between processes as plain values, so that classes of plug-ins are looked up by their names."""
        return Cell.model_validate, (self.model_dump(mode="json"),)

    @property
    def setting(self) -> str:
        """The id without the seed, which cells of several seeds share."""
        names = (self.dataset_name, self.network_name, self.source.id, self.search_name, self.recipe_name)
        return "_".join((*names, f"s{percent(self.sparsity)}"))

    @property
    def id(self) -> str:
        """The readable name of the cell, unique within params.yaml: the names and numbers of everything that varies."""
        return f"{self.setting}_seed{self.seed}"

    @property
    def free_kept(self) -> float:
        """The share of the free edges that the ticket keeps; 0 where none is free."""
        free = 1 - self.source.freezing_ratio
        return round((1 - self.source.lock_ratio - self.sparsity) / free, 6) if free > 1e-9 else 0.0

    @property
    def code(self) -> tuple[str, ...]:
        """The import paths of what this cell runs and others may not: its search, and plug-ins."""
        names = (self.network.kind, str(self.source.layout))
        return (BUILT_IN.get(self.search.kind, self.search.kind), *filter(is_plugin, names))

    @property
    def phases(self) -> tuple[Phase, ...]:
        """The phases of the search."""
        return self.search.phases(self.recipe, self.source.prune_ratio, self.sparsity)

    @property
    def epochs(self) -> int:
        """Epochs of the search, over all its phases."""
        return sum(phase.epochs for phase in self.phases)

    @property
    def directory(self) -> Path:
        """The directory of the cell's results."""
        return paths.cells_dir(self.table) / self.id

    @property
    def parent_directory(self) -> Path | None:
        """The directory of the results of the cell's parent; None without a parent."""
        parent = self.source.parent
        return paths.cells_dir(self.table) / parent.id if parent else None

    def as_parent(self, own_seed: bool = False) -> Parent:
        """Describe this cell as a parent; `own_seed` says whether its children's row names its seed, else it is theirs."""
        return Parent(
            id=self.id, identity=self.identity, search_name=self.search_name, recipe_name=self.recipe_name,
            sparsity=self.sparsity, seed=self.seed, own_seed=own_seed,
        )  # fmt: skip

    def parameters(self, seed: bool = True) -> dict[str, Any]:
        """Return the parameters of the cell in plain values, all or all but the seed; the table that declares it is none."""
        return self.model_dump(mode="json", exclude={"table"} if seed else {"table", "seed"})

    @property
    def identity(self) -> str:
        """The digest of all parameters that determine the result; names are left out."""
        names: Any = {f"{axis}_name": True for axis in ("dataset", "network", "search", "recipe")}
        # Without defaults: a new parameter changes the identity of no cell that does not use it.
        content = self.model_dump(mode="json", exclude=names | {"table": True, "source": {"parent"}}, exclude_defaults=True)
        content["dataset"]["images"].pop("path", None)  # only where the images lie; the manifest has their digest
        if parent := self.source.parent:
            content["source"]["ticket_identity"] = parent.identity
            content["source"] |= {"ticket_seed": parent.seed} if parent.own_seed else {}
        return digest(content)
