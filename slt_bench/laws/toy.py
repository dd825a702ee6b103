"""What the laws are tried on: a small network, made-up images, and a search that may be stopped and go on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from slt_bench.data.manifest import FileManifest, Manifest, data_digest
from slt_bench.experiment.cell import Cell
from slt_bench.params.datasets import Dataset, Images
from slt_bench.params.networks import Network
from slt_bench.params.recipes import Recipe
from slt_bench.params.searches import Search
from slt_bench.params.sources import Source
from slt_bench.search.checkpoint import Checkpoint
from slt_bench.search.interrupts import Interrupts
from slt_bench.search.trainer import Trainer
from slt_bench.ticket.ticket import Ticket

SOURCES = {
    "dense": Source(),
    "pruned": Source(prune_ratio=0.4, layout="erk"),
    "frozen": Source(prune_ratio=0.25, lock_ratio=0.25, layout="epl", lock_rule="joint"),
}
END = -1  # in the place of a step's number: once the search is done
_CLASSES, _SIZE, _BATCH, _BATCHES = 4, 8, 16, 3
_RECIPE = Recipe(epochs=8, batch_size=_BATCH, learning_rate=0.1)


def make_cell(search: Search, source: str = "dense", sparsity: float = 0.6, scale: str = "none", seed: int = 0) -> Cell:
    """Make a cell of 24 steps.

    Args:
        search: whatever is tried.
        source: one of `SOURCES`.
        sparsity: of the ticket; that of the source for a search that trains weights.
        scale: of the effective weights.
        seed: of the cell.
    """
    if search.learns == "weights":
        sparsity = SOURCES[source].prune_ratio
    return Cell(
        table="laws", dataset_name="made-up", network_name="conv2", search_name="search", recipe_name="laws",
        dataset=Dataset(images=Images(source="digits"), mean=[0.5] * 3, std=[0.5] * 3),
        network=Network(kind="conv2", width=0.125), source=SOURCES[source], search=search,
        recipe=_RECIPE.model_copy(update={"scale": scale}), sparsity=sparsity, seed=seed,
    )  # fmt: skip


@dataclass(frozen=True)
class MadeUp:
    """Images around a prototype for each class, in the place of a loader."""

    first: int  # number of the first batch of all epochs
    images: int = _BATCH * _BATCHES
    device: str = "cpu"
    workers: int = 1

    def __len__(self) -> int:
        """Return the batches in an epoch."""
        return _BATCHES

    def epoch(self, epoch: int = 0, start: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the batches of an epoch from one on, as `Loader.epoch` does."""
        shape = (3, _SIZE, _SIZE)
        prototypes = torch.randn(_CLASSES, *shape, generator=torch.Generator().manual_seed(0))
        for batch in range(start, _BATCHES):
            generator = torch.Generator().manual_seed(self.first + epoch * _BATCHES + batch)
            labels = torch.randint(0, _CLASSES, (_BATCH,), generator=generator)
            pictures = prototypes[labels] + torch.randn(_BATCH, *shape, generator=generator)
            yield pictures.to(self.device), labels.to(self.device)


def make_trainer(cell: Cell, device: str = "cpu", graphs: bool = True) -> Trainer:
    """Make the search of a cell, before its first step.

    Args:
        cell: the experiment.
        device: where the network lives.
        graphs: whether steps on a GPU are recorded.
    """
    train, val = MadeUp(1, device=device), MadeUp(1_000_000, device=device)
    loaders: tuple[Any, Any] = (train, val)
    return Trainer(cell, _manifest(), *loaders, torch.device(device), graphs=graphs)


def _manifest() -> Manifest:
    classes, digest, count = [f"class {label}" for label in range(_CLASSES)], "0" * 64, _BATCH * _BATCHES
    per_class = [count // _CLASSES] * _CLASSES
    file = FileManifest(images=count, per_class=per_class, image_size=_SIZE, digest=digest, sha256=digest, bytes=1)
    files: Any = {"train": file, "test": file}
    return Manifest(
        images={}, classes=classes, files=files, held_out=[0], digest=data_digest(classes, files, [0]), written_by={}
    )  # fmt: skip


class _Enough(Exception):
    """The steps are done after which a search is stopped."""


def run(cell: Cell, device: str = "cpu", stops: tuple[int, ...] = (), graphs: bool = True) -> Trainer:
    """Run a cell's search to its end.

    Args:
        cell: the experiment.
        device: where the network lives.
        stops: numbers of steps after which it is stopped and goes on in a new trainer, from the saved state alone.
        graphs: whether steps on a GPU are recorded.

    Returns:
        The trainer that came to the end.
    """
    with TemporaryDirectory() as directory:
        for stop in (*stops, END):
            trainer, interrupts = make_trainer(cell, device, graphs), Interrupts()
            try:
                trainer.run(
                    Checkpoint(Path(directory), {}),
                    interrupts,
                    _stopping(trainer, interrupts, stop),
                    lambda _: None,
                )
            except _Enough:
                continue
    return trainer


def _stopping(trainer: Trainer, interrupts: Interrupts, stop: int) -> Callable[[], object]:
    def call() -> None:
        done = trainer.under_way.steps_done if trainer.under_way else 0
        if trainer.log.epochs * _BATCHES + done == stop:
            interrupts.save()
            raise _Enough

    return call


def bits(ticket: Ticket) -> list[Tensor]:
    """Give all tensors of a ticket, to compare it with another."""
    parts = [*ticket.found.state().values(), ticket.batch_norm_mean, ticket.batch_norm_var]
    return [part for part in parts if part is not None]
