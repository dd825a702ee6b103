"""Tables to cells: a cell is one experiment, with a readable id and an identity."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from itertools import product
from typing import Any

from slt_bench.errors import BenchError
from slt_bench.layouts import LayoutName, LockRule
from slt_bench.params import Dataset, Model, Network, Params, Ratio, Recipe, Row, Search, Seed, Table

Location = tuple[str | int, ...]
_EPSILON = 1e-9  # 1 - 0.9 is a little less than 0.1
_IMAGE_SIZES = {"digits": 8, "cifar10": 32, "cifar100": 32}
_TRAIN_IMAGES = {"digits": 1437, "cifar10": 50_000, "cifar100": 50_000}


class Infeasible(BenchError):
    """A cell that cannot exist; `location` is the path of the mistake in params.yaml."""

    def __init__(self, location: Location, message: str) -> None:
        super().__init__(message)
        self.location = location


class Source(Model):
    """The source network of one cell."""

    prune_ratio: Ratio = 0.0
    lock_ratio: Ratio = 0.0
    layout: LayoutName | None = None
    lock_rule: LockRule | None = None

    @property
    def freezing_ratio(self) -> float:
        """F = p + l."""
        return self.prune_ratio + self.lock_ratio

    @property
    def kind(self) -> str:
        """dense, randomly pruned or frozen."""
        return "frozen" if self.lock_ratio else "randomly pruned" if self.prune_ratio else "dense"

    @property
    def id(self) -> str:
        """Short name: what it freezes, in percent, and how."""
        if not self.freezing_ratio:
            return "dense"
        shares = [f"p{percent(self.prune_ratio)}"] if self.prune_ratio else []
        shares += [f"l{percent(self.lock_ratio)}"] if self.lock_ratio else []
        rule = ["mirrored"] if self.lock_rule == "mirrored" else []
        return "-".join(["".join(shares), str(self.layout), *rule])


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
    def identity(self) -> str:
        """Hash of what determines the result; names are not part of it."""
        content = self.model_dump(mode="json", exclude={"dataset_name", "network_name", "search_name", "recipe_name"})
        return digest(content)


def percent(ratio: float) -> str:
    """0.5 -> 50, 0.832 -> 83-2 (no dots: DVC reads them as paths)."""
    return f"{100 * ratio:.10g}".replace(".", "-")


def digest(content: Any) -> str:
    """Twelve hex digits of the SHA-256 of canonical JSON."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:12]


def flatten(nested: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested groups as dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in nested.items():
        name = f"{prefix}{key}"
        flat |= flatten(value, f"{name}.") if isinstance(value, dict) else {name: value}
    return flat


def expand_row(params: Params, table_name: str, index: int) -> list[Cell]:
    """The cells of one row, seeds last.

    Raises:
        Infeasible: a name that does not exist, or numbers that do not go together.
    """
    table = params.tables[table_name]
    return list(_cells_of_row(params, table, table.rows[index], ("tables", table_name, "rows", index)))


def expand(params: Params, table_name: str) -> list[Cell]:
    """The cells of a table, each once, in the order of its rows."""
    rows = range(len(params.tables[table_name].rows))
    return list({cell.id: cell for row in rows for cell in expand_row(params, table_name, row)}.values())


def find(params: Params, cell_id: str) -> Cell:
    """The cell of that id, in any table."""
    cells = {cell.id: cell for table in params.tables for cell in expand(params, table)}
    if cell_id not in cells:
        raise BenchError(f"there is no cell '{cell_id}'{did_you_mean(cell_id, cells)}; `slt-bench plan` lists them")
    return cells[cell_id]


def did_you_mean(word: str, valid: Any) -> str:
    """A hint for a misspelt word, or nothing."""
    near = get_close_matches(word, list(valid), n=1)
    return f"; did you mean '{near[0]}'?" if near else ""


def _cells_of_row(params: Params, table: Table, row: Row, at: Location) -> Iterator[Cell]:
    axes: dict[str, list[Any]] = {
        "dataset": row.dataset or [table.dataset],
        "network": row.network or [table.network],
        "recipe": row.recipe or [table.recipe],
        "search": row.search,
        "prune_ratio": row.source.prune_ratio,
        "lock_ratio": row.source.lock_ratio,
        "layout": row.source.layout or [None],
        "sparsity": row.sparsity or [None],
        "seed": row.seeds or table.seeds,
    }
    for values in product(*axes.values()):
        chosen = dict(zip(axes, values, strict=True))
        look_up = _named(params, chosen, row, at)
        p, lock = chosen["prune_ratio"], chosen["lock_ratio"]
        source = Source(
            prune_ratio=p,
            lock_ratio=lock,
            layout=chosen["layout"] if p + lock else None,
            lock_rule=row.source.lock_rule if lock else None,
        )
        search = look_up("search", params.searches)
        cell = Cell(
            dataset_name=chosen["dataset"],
            dataset=look_up("dataset", params.datasets),
            network_name=chosen["network"],
            network=look_up("network", params.networks),
            source=source,
            search_name=chosen["search"],
            search=search,
            recipe_name=chosen["recipe"],
            recipe=look_up("recipe", params.recipes),
            sparsity=_sparsity(search, source, chosen["sparsity"], at),
            seed=chosen["seed"],
        )
        _check_fits(cell, at)
        yield cell


def _named(params: Params, chosen: dict[str, Any], row: Row, at: Location) -> Callable[[str, dict[str, Any]], Any]:
    def look_up(axis: str, entries: dict[str, Any]) -> Any:
        name = chosen[axis]
        if name not in entries:
            place = (*at, axis) if getattr(row, axis) else (*at[:2], axis)
            known = ", ".join(entries)
            raise Infeasible(place, f"'{name}' is not declared{did_you_mean(name, entries)} (there are: {known})")
        return entries[name]

    return look_up


def _sparsity(search: Search, source: Source, asked: float | None, at: Location) -> float:
    p, lock = source.prune_ratio, source.lock_ratio
    if p + lock > 1 + _EPSILON:
        raise Infeasible((*at, "source"), f"prune_ratio + lock_ratio = {p} + {lock} is more than 1")
    if search.kind == "weight-training":
        if asked is not None and asked != p:
            raise Infeasible((*at, "sparsity"), f"weight training keeps all free weights: leave sparsity out (got {asked})")
        return p
    if asked is None:
        raise Infeasible(at, f"sparsity is missing: {search.kind} needs one, from {p:g} to {1 - lock:g}")
    if not p - _EPSILON <= asked <= 1 - lock + _EPSILON:
        raise Infeasible(
            (*at, "sparsity"),
            f"prune_ratio <= sparsity <= 1 - lock_ratio does not hold: {p:g} <= {asked:g} <= {1 - lock:g}",
        )
    return asked


def _check_fits(cell: Cell, at: Location) -> None:
    images, network, batch = cell.dataset.images, cell.network, cell.recipe.batch_size
    size = images.size or _IMAGE_SIZES[images.source]
    if size < network.smallest_image:
        raise Infeasible(
            at, f"network {cell.network_name} ({network.kind}) needs images of {network.smallest_image} pixels, "
            f"dataset {cell.dataset_name} has {size}"
        )  # fmt: skip
    train = images.train_images or _TRAIN_IMAGES.get(images.source)
    if train is not None and batch > (left := round(train * (1 - images.validation))):
        raise Infeasible(at, f"batch_size {batch} of recipe {cell.recipe_name} exceeds the {left} training images")
    if cell.search.kind == "iterative-edge-popup" and cell.search.epochs == "total":
        iterations, epochs = cell.search.iterations, cell.recipe.epochs
        if epochs // iterations <= cell.recipe.warmup_epochs:
            raise Infeasible(at, f"{iterations} iterations in {epochs} epochs leave none beyond the warm-up")
