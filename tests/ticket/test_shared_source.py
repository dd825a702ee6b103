"""The weights of a source network are drawn once where several tickets have it, and every ticket is verified all the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from slt_bench.common import paths
from slt_bench.common.errors import BenchError
from slt_bench.experiment.cell import Cell
from slt_bench.networks.source import SourceNetwork, make_source
from slt_bench.run.evaluate import evaluate
from slt_bench.search.run import search
from slt_bench.ticket import ticket as module
from slt_bench.ticket.file import read_ticket, save_ticket
from slt_bench.ticket.found import Found
from slt_bench.ticket.ticket import Ticket
from tests.toys_tickets import DENSE, FROZEN, edited, make_child_ticket, make_ticket


@pytest.fixture
def draws(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of edges of every source network that is drawn from now on."""
    drawn: list[int] = []

    def spy(*arguments: Any) -> SourceNetwork:
        source = make_source(*arguments)
        drawn.append(source.size)
        return source

    monkeypatch.setattr(module, "make_source", spy)
    return drawn


def later(ticket: Ticket) -> Ticket:
    """A ticket of the same search, after another epoch."""
    assert ticket.mask is not None
    return replace(ticket, spec=ticket.spec.model_copy(update={"epoch": 9}), found=Found(ticket.mask.roll(1)))


def save_two(tmp_path: Path, best: Ticket, last: Ticket) -> None:
    for ticket, name in ((best, "best"), (last, "last")):
        save_ticket(ticket, tmp_path / name)


@pytest.mark.parametrize("best", [make_ticket(DENSE), make_ticket(FROZEN), make_child_ticket()])
def test_siblings_share_their_source_network(tmp_path: Path, best: Ticket, draws: list[int]) -> None:
    save_two(tmp_path, best, later(best))
    alone = read_ticket(tmp_path / "last")
    draws.clear()
    first = read_ticket(tmp_path / "best")
    second = read_ticket(tmp_path / "last", first)
    assert len(draws) == 1 and second.network.source is first.network.source
    images = torch.randn(2, 3, 8, 8)
    assert torch.equal(second.network(images), alone.network(images))
    assert torch.equal(first.network(images), best.network()(images))


def test_others_do_not(tmp_path: Path, draws: list[int]) -> None:
    child = make_child_ticket()
    assert child.roles is not None and child.mask is not None
    roles = (child.roles + 1) % 3
    other_roles = replace(child, roles=roles, found=Found(torch.ones(int((roles == 0).sum()), dtype=torch.bool)))
    other_seed = make_ticket().spec.model_copy(update={"seed": 4})
    for best, last in ((make_ticket(), replace(make_ticket(), spec=other_seed)), (child, other_roles), (make_ticket(), child)):
        save_two(tmp_path, best, last)
        draws.clear()
        first = read_ticket(tmp_path / "best")
        assert read_ticket(tmp_path / "last", first).network.source is not first.network.source
        assert len(draws) == 2


def test_a_sibling_that_is_damaged_is_noticed(tmp_path: Path) -> None:
    save_two(tmp_path, make_ticket(), later(make_ticket()))
    path = tmp_path / "last"
    path.write_bytes(edited(path.read_bytes(), inner=lambda header: header["spec"].update(epoch=8)))
    with pytest.raises(BenchError, match="does not have the digest in its header"):
        read_ticket(path, read_ticket(tmp_path / "best"))


def test_a_source_that_is_handed_over_gives_the_same_file(tmp_path: Path, draws: list[int]) -> None:
    save_ticket(make_ticket(), tmp_path / "drawn")
    _, source = make_ticket().spec.build()
    ticket = make_ticket()
    draws.clear()
    save_ticket(ticket, tmp_path / "handed over", source=source)
    assert not draws and (tmp_path / "drawn").read_bytes() == (tmp_path / "handed over").read_bytes()


def test_a_cell_draws_its_weights_once_in_the_search_and_once_in_the_evaluation(
    project: Path, make_cell: Callable[..., Cell], draws: list[int]
) -> None:
    cell = make_cell(recipe={"epochs": 1})
    search(cell)
    assert len(draws) == 1
    evaluate(cell.directory, paths.dataset_dir(cell.dataset_name))
    assert len(draws) == 2
