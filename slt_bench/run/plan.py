"""What a table needs: which cells are done, stale or missing, and how long the rest takes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from slt_bench.experiment.cell import Cell
from slt_bench.records.standing import Standing, prepared_images, standing
from slt_bench.search.methods.registry import make_schedule


@dataclass(frozen=True)
class Planned:
    """A cell, where it stands, and the seconds that it took or is expected to take (None where nothing alike has run)."""

    cell: Cell
    standing: Standing
    seconds: float | None

    @property
    def is_left(self) -> bool:
        """Whether it has to be run."""
        return not self.standing.is_result


def plan(cells: list[Cell]) -> list[Planned]:
    """Look at the result files; what is left is expected to take as long an epoch as what ran of its kind."""
    images = prepared_images(cells)
    standings = {cell.id: standing(cell, images[cell.dataset_name]) for cell in cells}
    rates = _Rates((cell, standings[cell.id]) for cell in cells)
    return [Planned(cell, standings[cell.id], rates.seconds(cell, standings[cell.id])) for cell in cells]


class _Rates:
    """Seconds an epoch, from the records of what has run: of a search of the same kind, or else of any."""

    def __init__(self, ran: Iterable[tuple[Cell, Standing]]) -> None:
        self.known: dict[tuple[str, ...], list[float]] = {}
        for cell, stands in ran:
            for kind in _kinds(cell) if stands.record else ():
                self.known.setdefault(kind, []).extend((stands.record or {}).get("epoch_seconds", []))

    def seconds(self, cell: Cell, stands: Standing) -> float | None:
        """That a cell took, if it is done, or should take."""
        if stands.is_result and stands.record is not None:
            return float(sum(stands.record.get("epoch_seconds", [])))
        alike = next((rates for kind in _kinds(cell) if (rates := self.known.get(kind))), None)
        return epochs(cell) * sum(alike) / len(alike) if alike else None


def _kinds(cell: Cell) -> tuple[tuple[str, ...], ...]:
    """What a cell's time goes by: first with the kind of its search (a random mask takes half an epoch of edge-popup)."""
    alike = (cell.dataset_name, cell.network_name)
    return (*alike, cell.search.kind), alike


def epochs(cell: Cell) -> int:
    """Epochs that the cell's search runs in all."""
    return make_schedule(cell.search, cell.recipe, cell.source.prune_ratio, cell.sparsity).epochs
