"""Sizes: a mask costs one bit a free edge, and entropy-coded hardly more than its entropy."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from slt_bench.ticket.file import read_ticket, save_ticket
from slt_bench.ticket.sizes import ticket_sizes
from slt_bench.ticket.ticket import TicketSource
from tests.toys_tickets import FROZEN, SOURCES, make_child_ticket, make_ticket


def test_the_mask_costs_one_bit_an_edge(tmp_path: Path) -> None:
    def size(source: TicketSource) -> tuple[int, int]:
        ticket = make_ticket(source)
        assert ticket.mask is not None
        save_ticket(ticket, tmp_path / "ticket")
        content = (tmp_path / "ticket").read_bytes()
        return len(content) - int.from_bytes(content[:8], "little"), ticket.mask.numel()  # without the header

    (dense, bits), (frozen, fewer) = size(SOURCES["dense"]), size(FROZEN)
    assert dense - frozen == -(-bits // 8) - -(-fewer // 8)


@pytest.mark.parametrize(
    ("source", "density"),
    [("dense", 0.0), ("dense", 0.03), ("pruned", 0.03), ("frozen", 0.03), ("pruned", 0.5), ("frozen", 1.0)],
)
def test_a_coded_mask_is_the_same_mask(tmp_path: Path, source: str, density: float) -> None:
    ticket, path = make_ticket(SOURCES[source]), tmp_path / "ticket"
    assert ticket.mask is not None
    ticket.mask.copy_(torch.rand(ticket.mask.shape, generator=torch.Generator().manual_seed(0)) < density)
    save_ticket(ticket, path, mask="coded")
    read = read_ticket(path)
    assert read.ticket.mask is not None and torch.equal(read.ticket.mask, ticket.mask)
    sizes = ticket_sizes(read)
    assert sizes.mask_coded is not None and sizes.mask_bound is not None and sizes.mask_packed is not None
    assert sizes.mask_bound <= sizes.mask_coded <= sizes.mask_bound + 8 + 0.001 * sizes.mask_packed
    packed = tmp_path / "packed"
    save_ticket(ticket, packed)
    if density == 0.03:
        assert packed.stat().st_size - path.stat().st_size > 0.5 * sizes.mask_packed


@pytest.mark.parametrize("kind", ["frozen", "child", "weights"])
def test_sizes_are_those_of_the_files(tmp_path: Path, kind: str) -> None:
    tickets = {"frozen": make_ticket(), "child": make_child_ticket(), "weights": make_ticket(learned="weights")}
    for name in ("packed", "coded"):
        save_ticket(tickets[kind], tmp_path / name, mask=name)
    sizes = ticket_sizes(read_ticket(tmp_path / "packed"))
    assert (sizes.file, sizes.file_coded) == tuple((tmp_path / name).stat().st_size for name in ("packed", "coded"))
    assert (sizes.mask_packed is None) == (sizes.mask_coded is None) == (sizes.mask_bound is None) == (kind == "weights")


def test_sizes_without_the_package_that_codes_masks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_ticket(make_ticket(), tmp_path / "ticket")
    monkeypatch.setitem(sys.modules, "constriction", None)
    sizes = ticket_sizes(read_ticket(tmp_path / "ticket"))
    assert sizes.file_coded is sizes.mask_coded is None and sizes.mask_bound is not None
