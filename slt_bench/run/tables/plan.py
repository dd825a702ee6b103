"""The plan of cells: which are done, stale or missing, and how long the rest takes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from slt_bench.common import paths
from slt_bench.common.files import is_held
from slt_bench.experiment.cell import Cell
from slt_bench.records.provenance import made_here
from slt_bench.records.standing import Standing, cell_standing, prepared_images


@dataclass(frozen=True)
class Planned:
    """A cell with its standing, and the seconds that it took or is expected to take (None where nothing like it has run)."""

    cell: Cell
    standing: Standing
    seconds: float | None

    @property
    def is_left(self) -> bool:
        """Whether the cell has to be run."""
        return not self.standing.is_result

    @property
    def is_running(self) -> bool:
        """Whether a process works on the search now, as far as this machine sees it."""
        return self.is_left and is_held(paths.state_dir(self.cell.id, self.cell.identity))


def plan(cells: Sequence[Cell], tickets: bool = False) -> list[Planned]:
    """Find out where cells stand; one that is left is expected to take as long an epoch as those of its kind that ran.

    Args:
        cells: of any tables.
        tickets: whether damage to the tickets is looked for too; they may be large.
    """
    images = prepared_images(cells)
    standings = [(cell, cell_standing(cell, images[cell.dataset_name], tickets=tickets)) for cell in cells]
    rates = _Rates(standings)
    return [Planned(cell, standing, rates.seconds(cell, standing)) for cell, standing in standings]


class _Rates:
    """Seconds of an epoch by the records of cells that ran, on machines as this one and of searches of one kind if any did."""

    def __init__(self, ran: Iterable[tuple[Cell, Standing]]) -> None:
        self.by_kind: dict[tuple[str, ...], list[float]] = {}
        for cell, standing in ran:
            is_another = {"parameters", "images"} & set(standing.differences)
            record, kinds = ({} if is_another else standing.record or {}), _kinds(cell)
            for key in _here(kinds) + kinds if made_here(record) else kinds:
                self.by_kind.setdefault(key, []).extend(record.get("epoch_seconds", []))

    def seconds(self, cell: Cell, standing: Standing) -> float | None:
        """Return the seconds that a cell took, if it is done, or is expected to take; None if nothing like it has run."""
        if standing.is_result and standing.record is not None:
            return float(sum(standing.record.get("epoch_seconds", [])))
        kinds = _kinds(cell)
        seconds = next((seconds for kind in _here(kinds) + kinds if (seconds := self.by_kind.get(kind))), None)
        return cell.epochs * sum(seconds) / len(seconds) if seconds else None


def _here(kinds: tuple[tuple[str, ...], ...]) -> tuple[tuple[str, ...], ...]:
    """Mark kinds of cells as those that ran on machines as this one."""
    return tuple(("here", *kind) for kind in kinds)


def _kinds(cell: Cell) -> tuple[tuple[str, ...], ...]:
    """Return what the time of an epoch depends on, closest first (an epoch of random masks takes half one of edge-popup)."""
    images_and_network = (cell.dataset_name, cell.network_name)
    of_search = (*images_and_network, cell.search.kind)
    return (*of_search, cell.recipe_name), of_search, images_and_network
