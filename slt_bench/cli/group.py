"""The group of all commands, and what they begin with."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from slt_bench.experiment.experiments import Experiments


def load() -> Experiments:
    """Read params.yaml."""
    from slt_bench.experiment.load import load_experiments

    return load_experiments()


def _version() -> str:
    try:
        return version("slt-bench")
    except PackageNotFoundError:
        return "unknown, since it is not installed"


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(_version(), prog_name="slt-bench", message="%(prog)s %(version)s")
def commands() -> None:
    """Benchmark for strong lottery tickets: subnetworks of random networks that classify well untrained."""
