"""The laws, one function each: it returns what was tried, and raises `Broken` with the numbers where a law does not hold."""

from __future__ import annotations

import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from pydantic import ValidationError

from slt_bench.laws.broken import Broken, equal
from slt_bench.laws.names import misspelled
from slt_bench.laws.steps import gradient, replay
from slt_bench.laws.toy import END, SOURCES, bits, make_cell, make_trainer, run
from slt_bench.params.searches import Search
from slt_bench.search.methods.contract import Method, unheeded
from slt_bench.search.trainer import Trainer
from slt_bench.ticket.file import read_ticket, save_ticket

_SPARSITIES, _HIGHEST = (0.5, 0.61803, 0.75), 0.95


def declaration(search: Search, device: str = "cpu") -> str:
    """Unknown keys are refused, the label is a text, and the phases end at the sparsity of the ticket."""
    try:
        type(search).model_validate(search.model_dump() | {"no-such-key": 1})
    except ValidationError:
        pass
    else:
        raise Broken("an unknown key is accepted: keep the base's model_config")
    if not search.label or not search.colour.startswith("#"):
        raise Broken(f"label {search.label!r} and colour {search.colour!r} must be a text and #rrggbb")
    cell = make_cell(search)
    method = make_trainer(cell, device).method
    for mistyped in (*misspelled(type(search), Search), *misspelled(type(method), Method)):
        raise Broken(mistyped)
    if reason := unheeded(method, cell.phases):
        raise Broken(reason)
    if type(search).model_validate(search.model_dump(mode="json")) != search:
        raise Broken("the parameters written as JSON do not give the declaration again")
    last = cell.phases[-1].sparsity
    if last != cell.sparsity or any(phase.epochs < 1 for phase in cell.phases):
        raise Broken(f"the last phase must have sparsity {cell.sparsity:g} and each an epoch or more, got {cell.phases}")
    return f"{len(cell.phases)} phases, {cell.epochs} epochs"


def budget(search: Search, device: str = "cpu") -> str:
    """After the search a ticket keeps exactly N - round(sN) edges, all locked ones among them and no pruned one."""
    if search.learns == "weights":
        return "trains all free weights"
    for source, sparsity in product(SOURCES, _SPARSITIES):
        trainer = make_trainer(make_cell(search, source, sparsity), device)
        _settle(trainer)
        counts, total = trainer.network.counts(), trainer.network.source.size
        expected = total - round(sparsity * total)
        if counts.kept != expected:
            raise Broken(f"{source} source, sparsity {sparsity:g}: {counts.kept:,} edges are kept instead of {expected:,}")
        nonzero = int(torch.count_nonzero(trainer.network.effective))
        if nonzero != expected:
            raise Broken(
                f"{source} source, sparsity {sparsity:g}: {nonzero:,} effective weights are not 0, {expected:,} edges kept"
            )
    for cell in [make_cell(search, source) for source in SOURCES] + [make_cell(search, "pruned", _HIGHEST)]:
        for ticket in run(cell, device).tickets():
            network = ticket.network()
            expected = network.source.size - round(cell.sparsity * network.source.size)
            if (kept := network.counts().kept) != expected:
                where = f"{cell.source.kind} source, sparsity {cell.sparsity:g}, after the search"
                raise Broken(f"{where}: a ticket keeps {kept:,} edges instead of {expected:,}")
    combinations = len(SOURCES) * len(_SPARSITIES)
    return f"{combinations} combinations of source and sparsity, and the tickets of {len(SOURCES) + 1} searches, exact"


def determinism(search: Search, device: str = "cpu") -> str:
    """Two runs of one cell find the same tickets bit for bit, and another seed finds another."""
    (one, _), (two, _), (other, _) = (run(make_cell(search, "frozen", seed=seed), device).tickets() for seed in (0, 0, 1))
    equal(bits(one), bits(two), "two runs of one cell")
    if all(torch.equal(a, b) for a, b in zip(bits(one), bits(other), strict=True)):
        raise Broken("another seed finds the same ticket")
    return "two runs are equal, another seed is not"


def resume(search: Search, device: str = "cpu") -> str:
    """A search that is stopped anywhere and goes on from its saved state finds the same tickets bit for bit."""
    cell = make_cell(search, "frozen", scale="dynamic")
    whole, stops = run(cell, device), (1, 3, 4, 8, 17, 23)
    parts = run(cell, device, (*stops, END))
    for name, one, other in zip(("best", "last"), whole.tickets(), parts.tickets(), strict=True):
        equal(bits(one), bits(other), f"the {name} ticket of a search that was stopped after steps {stops} and at its end")
    if [line.dying_edge_ratio for line in whole.log.history] != [line.dying_edge_ratio for line in parts.log.history]:
        raise Broken("the dying edges of a search that was stopped differ: other masks were seen")
    return f"stopped after steps {', '.join(map(str, stops))} and at its end: equal tickets and masks"


def ticket(search: Search, device: str = "cpu") -> str:
    """A ticket rebuilds from its file alone to the network that the search had, and no weight is in it but by `learns`."""
    checked = 0
    for source, scale in (("dense", "none"), ("pruned", "dynamic"), ("frozen", "static")):
        trainer = run(make_cell(search, source, scale=scale), device)
        _settle(trainer)
        with TemporaryDirectory() as directory:
            path = Path(directory) / "ticket"
            save_ticket(trainer.tickets()[1], path)
            rebuilt = read_ticket(path).network
        equal([trainer.network.effective.cpu()], [rebuilt.effective], f"{source} source, scale {scale}: the rebuilt network")
        if (rebuilt.counts().kept, search.learns) != (trainer.network.counts().kept, trainer.spec.learned):
            raise Broken(f"{source} source: the rebuilt network keeps {rebuilt.counts().kept} edges")
        checked += 1
    return f"{checked} kinds of source: rebuilt from seed and bits, equal"


def images(search: Search, device: str = "cpu") -> str:
    """The search opens no prepared images: it sees what the loop shows it, and never the test set."""
    opened: list[str] = []
    watching = True

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if watching and event == "open" and str(arguments[0]).endswith((".beton", "manifest.json")):
            opened.append(str(arguments[0]))

    sys.addaudithook(hook)
    try:
        run(make_cell(search), device)
    finally:
        watching = False
    if opened:
        raise Broken(f"it opens {opened[0]}")
    return "no file of images is opened"


def progress(search: Search, device: str = "cpu") -> str:
    """The search moves: what is learned, and the mask where one is searched, differ from the first ones."""
    if search.learns == "nothing":
        return "learns nothing"
    first, last = make_trainer(make_cell(search), device), run(make_cell(search), device)
    _settle(first)
    if torch.equal(first.method.learned, last.method.learned):
        raise Broken("nothing that is learned has changed after 24 steps")
    if search.is_searched and torch.equal(first.network.mask, last.network.mask):
        raise Broken("the mask has not changed after 24 steps")
    changed = float((first.network.mask ^ last.network.mask).float().mean())
    return f"{100 * changed:.1f} % of the edges change sides in 24 steps"


LAWS: tuple[Callable[[Search, str], str], ...] = (
    declaration, budget, gradient, progress, determinism, resume, ticket, images, replay,
)  # fmt: skip


def _settle(trainer: Trainer) -> None:
    """Compose what a ticket taken now would store."""
    last = len(trainer.schedule.phases) - 1
    trainer.method.compose(last)
    trainer.method.settle(last)
