"""What a search costs by the measured rates: `python -m benchmarks.cost --price 3` prints docs/scale.md's table, and money."""

from __future__ import annotations

import json
from pathlib import Path

import click
from tabulate import tabulate

MEASURED = Path(__file__).parents[1] / "results/gpu/gpu.json"
VALIDATION = 0.08  # of an epoch's time: a quarter as many images, forward only
EFFICIENCY = {1: 1.0, 8: 0.9, 64: 0.8}  # of so many devices together; assumed for more than one
EPOCHS = 100
IMAGES = {"Conv6": 40_000, "ResNet-18": 40_000, "ResNet-50": 1_024_934}  # that are trained on: CIFAR-10's and ImageNet's


def rates() -> dict[tuple[str, str], float]:
    """Read the images a second of one device, by network and number format."""
    rows = json.loads(MEASURED.read_text("utf-8"))["Steps"]["rows"]
    return {(name.split(",")[0], precision): float(rate.replace(",", "")) for name, precision, *_, rate in rows}


def hours(network: str, rate: float, devices: int) -> float:
    """Compute the hours of a search of `EPOCHS` epochs on some devices."""
    return EPOCHS * IMAGES[network] * (1 + VALIDATION) / (rate * devices * EFFICIENCY[devices]) / 3600


def table(price: float | None = None) -> str:
    """Write hours, device hours and, with the price of a device hour, money, as Markdown."""
    rows = []
    for (network, precision), rate in rates().items():
        cells = []
        for devices in EFFICIENCY if network == "ResNet-50" else (1,):
            took = hours(network, rate, devices)
            parts = [f"{took:.2g} h", *([f"{took * devices:.2g} GPU hours"] if devices > 1 else [])]
            cells.append(", ".join([*parts, *([f"{price * took * devices:,.2f}"] if price is not None else [])]))
        rows.append([network, precision, *cells, *[""] * (len(EFFICIENCY) - len(cells))])
    head = ["100 epochs of", "precision", *(f"{devices} GPU{'s' * (devices > 1)}" for devices in EFFICIENCY)]
    return tabulate(rows, head, "github", disable_numparse=True)


@click.command()
@click.option("--price", type=click.FloatRange(min=0), help="Of an hour of one device, in any currency.")
def main(price: float | None) -> None:
    """Print what a search of 100 epochs costs."""
    print(table(price))


if __name__ == "__main__":
    main()
