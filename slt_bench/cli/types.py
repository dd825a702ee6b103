"""The types of the command line's arguments: each refuses invalid values in one short line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

import click
from click.shell_completion import CompletionItem

_MOST_RATE = 1e6
_MOST_HOURS = 100_000  # eleven years
_DEVICE = re.compile(r"\d{1,4}|(GPU|MIG)-[0-9A-Za-z/-]+", re.ASCII)  # a number or, as nvidia-smi -L shows it, a name


class Count(click.ParamType[int]):
    """A whole number from 1 to `most`."""

    name = "number"

    def __init__(self, most: int) -> None:
        self.most = most

    def convert(self, value: Any, param: click.Parameter | None, context: click.Context | None) -> int:
        """Read the number."""
        text = str(value)
        if not (text.isdecimal() and len(text) < 10 and 1 <= int(text) <= self.most):
            self.fail(f"must be 1 or more, and {self.most:,} or less, got {text[:40]!r}", param, context)
        return int(text)


class Hours(click.ParamType[float]):
    """A number of hours above 0."""

    name = "hours"

    def convert(self, value: Any, param: click.Parameter | None, context: click.Context | None) -> float:
        """Read the number."""
        try:
            hours = float(value)
        except ValueError:
            hours = 0.0
        if not 0 < hours < _MOST_HOURS:
            self.fail(f"must be a number above 0, and below {_MOST_HOURS:,}, got {str(value)[:40]!r}", param, context)
        return hours


class Devices(click.ParamType[list[str]]):
    """A list of CUDA devices, numbers or names, separated by commas."""

    name = "devices"

    def convert(self, value: Any, param: click.Parameter | None, context: click.Context | None) -> list[str]:
        """Read the devices."""
        devices = value.split(",") if isinstance(value, str) else list(value)
        for device in devices:
            if not _DEVICE.fullmatch(device):
                self.fail(f"must be like 0,1 (numbers or names of CUDA devices), got {str(value)[:40]!r}", param, context)
        return devices


class Rates(click.ParamType[list[float]]):
    """A list of learning rates, separated by commas."""

    name = "rates"

    def convert(self, value: Any, param: click.Parameter | None, context: click.Context | None) -> list[float]:
        """Read the rates."""
        try:
            rates = [float(rate) for rate in str(value).split(",")] if isinstance(value, str) else list(value)
        except ValueError:
            rates = []
        if not rates or not all(0 < rate < _MOST_RATE for rate in rates):
            self.fail(f"must be like 0.1,0.3,1 (numbers above 0), got {str(value)[:40]!r}", param, context)
        return list(dict.fromkeys(rates))


class Handover(click.ParamType[dict[str, Any]]):
    """A cell and a machine in JSON, handed over by the process that started this one."""

    name = "handover"

    def convert(self, value: Any, param: click.Parameter | None, context: click.Context | None) -> dict[str, Any]:
        """Read the cell and the machine."""
        from slt_bench.experiment.cell import Cell
        from slt_bench.params.machine import Machine

        try:
            handover = json.loads(value)
            return {"machine": Machine(**handover["machine"]), "cell": Cell.model_validate(handover["cell"])}
        except (ValueError, TypeError, LookupError, RecursionError):
            self.fail("is what `slt-bench run` tells its own processes; leave it out", param, context)


class Parameter(click.ParamType[tuple[str, Any]]):
    """A parameter as KEY=VALUE: a number, true, false, null, a list in brackets, or a text."""

    name = "parameter"

    def convert(self, value: Any, param: click.Parameter | None, context: click.Context | None) -> tuple[str, Any]:
        """Read key and value."""
        key, equals, text = str(value).partition("=")
        if not equals or not key.isidentifier():
            self.fail(f"must be KEY=VALUE, got {str(value)[:40]!r}", param, context)
        try:
            return key, json.loads(text)
        except ValueError:
            return key, text


class Name(click.ParamType[str]):
    """A name in params.yaml, which the shell can complete; the command checks that it exists."""

    def __init__(self, *kinds: str) -> None:
        self.kinds, self.name = kinds, " or ".join(kinds)

    def shell_complete(self, context: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """List the names that begin with `incomplete`."""
        try:
            return [CompletionItem(name) for name in self._names() if name.startswith(incomplete)]
        except Exception:  # commands report mistakes in params.yaml; completion stays silent
            return []

    def _names(self) -> Iterable[str]:
        from slt_bench.experiment.load import load_experiments

        experiments = load_experiments()
        names: dict[str, Iterable[str]] = {
            "table": experiments.tables,
            "cell": experiments.cells(),
            "dataset": experiments.params.datasets,
        }
        return [name for kind in self.kinds for name in names[kind]]
