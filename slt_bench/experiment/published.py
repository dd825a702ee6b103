"""Published values, each with how it was read; a value that published.yaml does not have is unknown."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter
from ruamel.yaml import YAML

from slt_bench.experiment.cell import Cell
from slt_bench.params.base import Model
from slt_bench.params.datasets import Images


class Published(Model):
    """One value that a paper reports."""

    paper: Literal["otsuka2025", "iwasawa2023", "ramanujan2020", "diffenderfer2021"]
    dataset: str
    network: str | None  # None: one of several, and the paper does not say which
    method: str
    quantity: Literal["top1", "dying-edge ratio", "gain", "dying-edge rise", "size ratio"]
    value: float
    how: Literal["abstract", "readme", "code", "log", "secondary", "derived"]
    # Where the network, or a value that this one is derived from, is by a secondary source:
    network_how: Literal["secondary"] | None = None
    sparsity: float | None = None  # None: beside every sparsity of a row
    params_millions: float | None = None  # weights, in millions, that the measured network keeps

    def __str__(self) -> str:
        what = "" if self.quantity == "top1" else f" {self.quantity}"
        size = "" if self.params_millions is None else f" with {self.params_millions:g} M weights"
        doubt = " †" if "secondary" in (self.how, self.network_how) else ""
        return f"{self.value:g}{what}{size} ({self.paper}, {self.how}{doubt})"

    def fits_cell(self, cell: Cell) -> bool:
        """Whether the value may stand beside a cell: of all its images, its network in full width, its sparsity."""
        is_whole = not _is_a_part(cell.dataset.images) and getattr(cell.network, "width", 1) == 1
        is_same = self.dataset == cell.dataset.images.source and self.network in (cell.network.kind, None)
        return is_whole and is_same and self.sparsity in (cell.sparsity, None)


def measured_on(cell: Cell) -> str:
    """Describe what a published value would have to be of, to stand beside a cell."""
    images = cell.dataset.images
    network = cell.network if getattr(cell.network, "width", 1) != 1 else cell.network.kind
    return f"{network} on {'a part of ' if _is_a_part(images) else ''}{images.source} at {cell.sparsity:g}"


def _is_a_part(images: Images) -> bool:
    return images.train_images is not None or images.test_images is not None


def fitting(names: Iterable[str] | None, cell: Cell) -> list[Published]:
    """Look up published values by id, and return those that may stand beside a cell."""
    return [value for name in names or () if (value := published_values()[name]).fits_cell(cell)]


@cache
def published_values() -> dict[str, Published]:
    """Read all published values, by id."""
    content = YAML(typ="safe").load(Path(__file__).with_suffix(".yaml"))
    return TypeAdapter(dict[str, Published]).validate_python(content)
