"""Published values, each with how it was read. What is not in the file is unknown and stays so."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter
from ruamel.yaml import YAML

from slt_bench.params import Model


class Published(Model):
    """One value that a paper reports."""

    paper: Literal["otsuka2025", "iwasawa2023", "ramanujan2020"]
    dataset: str
    network: str
    method: str
    quantity: Literal["top1", "gain", "dying-edge ratio", "size ratio"]
    value: float
    how: Literal["abstract", "readme", "code", "log", "secondary", "derived"]

    def __str__(self) -> str:
        return f"{self.value:g} ({self.paper}, {self.how}{' †' if self.how == 'secondary' else ''})"


@cache
def published_values() -> dict[str, Published]:
    """All known values by id."""
    content = YAML(typ="safe").load(Path(__file__).with_suffix(".yaml"))
    return TypeAdapter(dict[str, Published]).validate_python(content)
