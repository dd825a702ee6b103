"""Published values, each with how it was read. What is not in the file is unknown and stays so."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter
from ruamel.yaml import YAML

from slt_bench.experiment.cell import Cell
from slt_bench.params.base import Model


class Published(Model):
    """One value that a paper reports."""

    paper: Literal["otsuka2025", "iwasawa2023", "ramanujan2020"]
    dataset: str
    network: str | None  # None: of several, it is not known of which
    method: str
    quantity: Literal["top1", "gain", "dying-edge ratio", "size ratio"]
    value: float
    how: Literal["abstract", "readme", "code", "log", "secondary", "derived"]
    network_how: Literal["secondary"] | None = None  # where the network is not named by the source of the value
    sparsity: float | None = None  # where it is of one of a row's sparsities
    params_millions: float | None = None  # how many weights the network that was measured keeps

    def __str__(self) -> str:
        what = "" if self.quantity == "top1" else f" {self.quantity}"
        size = "" if self.params_millions is None else f" with {self.params_millions:g} M weights"
        doubt = " †" if "secondary" in (self.how, self.network_how) else ""
        return f"{self.value:g}{what}{size} ({self.paper}, {self.how}{doubt})"

    def fits_cell(self, cell: Cell) -> bool:
        """Whether it may stand beside a cell: of its images, its network, and its sparsity where the value names one."""
        same = self.dataset == cell.dataset.images.source and self.network in (cell.network.kind, None)
        return same and self.sparsity in (cell.sparsity, None)


def fitting(names: Iterable[str] | None, cell: Cell) -> list[Published]:
    """Of these values, those that may stand beside a cell."""
    return [value for name in names or () if (value := published_values()[name]).fits_cell(cell)]


@cache
def published_values() -> dict[str, Published]:
    """All known values by id."""
    content = YAML(typ="safe").load(Path(__file__).with_suffix(".yaml"))
    return TypeAdapter(dict[str, Published]).validate_python(content)
