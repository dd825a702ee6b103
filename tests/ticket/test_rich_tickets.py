"""Tickets that say more of a kept edge than that it is kept: signs, coats, draws, and a gain of each layer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from slt_bench.common.errors import BenchError
from slt_bench.ticket.coding.levels import decode_levels, encode_levels, level_counts, pack_levels, unpack_levels
from slt_bench.ticket.file import MaskCoding, read_ticket, save_ticket
from slt_bench.ticket.sizes import ticket_sizes
from slt_bench.ticket.ticket import Ticket
from tests.toys_tickets import EXTRAS, SOURCES, Change, edited, make_rich_ticket, make_ticket


@given(st.lists(st.integers(0, 9), max_size=200) | st.just([255, 0, 255]))
def test_levels_come_back_from_both_codes(levels: list[int]) -> None:
    values = torch.tensor(levels, dtype=torch.uint8)
    counts = level_counts(values)
    assert counts == [sum(level >= j for level in levels) for j in range(1, max(levels, default=0) + 1)]
    packed = pack_levels(values)
    assert torch.equal(unpack_levels(packed, len(levels), counts), values)
    assert torch.equal(decode_levels(encode_levels(values), len(levels), counts), values)
    bits = sum([len(levels), *counts[:-1]]) if counts else 0  # nested planes
    assert packed.numel() == -(-bits // 8)


@pytest.mark.parametrize("mask", ["packed", "coded"])
@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("extras", [*((each,) for each in EXTRAS), EXTRAS])
def test_a_rich_ticket_comes_back_whole(tmp_path: Path, extras: tuple[str, ...], source: str, mask: MaskCoding) -> None:
    ticket = make_rich_ticket(extras, SOURCES[source])
    written = save_ticket(ticket, tmp_path / "ticket", mask=mask)
    read = read_ticket(tmp_path / "ticket")
    assert torch.equal(written.effective, read.network.effective)
    for name, part in ticket.found.state().items():
        again = getattr(read.ticket.found, name)
        assert (part is None and again is None) or torch.equal(part, again), name
    save_ticket(read.ticket, tmp_path / "again", mask=mask)
    assert (tmp_path / "again").read_bytes() == (tmp_path / "ticket").read_bytes()


def test_what_is_said_of_an_edge_multiplies_its_weight() -> None:
    plain = make_ticket().network().effective
    assert torch.equal(make_rich_ticket(("coats",), scale="none").network().effective != 0, plain != 0)
    signed, coated = (make_rich_ticket((name,), scale="none") for name in ("signs", "coats"))
    free = plain[signed.network().free]
    assert signed.found.signs is not None and coated.found.coats is not None
    assert torch.equal(signed.network().effective[signed.network().free], torch.where(signed.found.signs, -free, free))
    assert torch.equal(coated.network().effective[coated.network().free], free * coated.found.coats)
    gained = make_rich_ticket(("gains",), scale="none")
    magnitudes = gained.network().effective[gained.network().free].abs()
    assert gained.found.gains is not None and set(magnitudes[magnitudes > 0].tolist()) <= set(gained.found.gains.tolist())


def test_a_redrawn_weight_is_of_a_stream_of_its_own_and_others_stay() -> None:
    plain, drawn = make_ticket().network(), make_rich_ticket(("draws",), scale="none")
    draws, effective = drawn.found.draws, drawn.network().effective[plain.free]
    assert draws is not None and drawn.mask is not None
    same = effective == plain.effective[plain.free]
    assert bool(same[draws == 0].all()) and not bool(same[draws > 0].any())
    assert float(effective[draws > 0].std()) == pytest.approx(float(plain.free_weights[draws > 0].std()), rel=0.1)


def test_what_is_said_of_edges_is_counted_in_bytes(tmp_path: Path) -> None:
    """The papers' counts: one more bit a kept edge for signs, nested masks for coats."""
    plain, mask = _size(tmp_path, make_ticket(scale="dynamic")), make_ticket().found.mask
    assert mask is not None
    kept = int(mask.sum())
    signs = _size(tmp_path, make_rich_ticket(("signs",)))
    assert signs[0] - plain[0] == signs[1] - plain[1] == -(-kept // 8)
    ticket = make_rich_ticket(("coats",))
    assert ticket.found.coats is not None
    nested = sum(int((ticket.found.coats >= coat).sum()) for coat in range(1, 5))
    coats = _size(tmp_path, ticket)
    assert coats[0] - plain[0] == coats[1] - plain[1] == -(-nested // 8)
    gains = _size(tmp_path, make_rich_ticket(("gains",)))
    assert gains[0] - plain[0] == gains[1] - plain[1] == 4 * 5


def _size(tmp_path: Path, ticket: Ticket) -> tuple[int, int]:
    """Bytes of mask and extras, and of the file's tensors."""
    save_ticket(ticket, tmp_path / "ticket")
    content = (tmp_path / "ticket").read_bytes()
    packed = ticket_sizes(read_ticket(tmp_path / "ticket")).mask_packed
    assert packed is not None
    return packed, len(content) - 8 - int.from_bytes(content[:8], "little")


DAMAGE: dict[str, tuple[Change, Change, str]] = {
    "no counts": (lambda _: None, lambda header: header.pop("coats"), "coats in its header belongs to a tensor coats"),
    "a tensor less": (lambda outer: outer.pop("draws"), lambda _: None, "is no ticket, or a damaged one"),
    "counts that rise": (lambda _: None, lambda header: header["coats"].reverse(), "no counts of edges of rising level"),
    "more than edges": (lambda _: None, lambda header: header["draws"].__setitem__(0, 10**9), "no counts of edges"),
    "other counts": (lambda _: None, lambda header: header["draws"].__setitem__(-1, 1), "damaged ticket"),
    "an older format": (lambda _: None, lambda header: header["spec"].update(format=1), "does not belong to a ticket"),
    "signs of another type": (lambda outer: outer["signs"].update(dtype="I8"), lambda _: None, "tensor signs has type I8"),
    "gains cut": (
        lambda outer: outer["gains"].update(shape=[4], data_offsets=[outer["gains"]["data_offsets"][0]] * 2),
        lambda _: None,
        "damaged",
    ),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_refused(tmp_path: Path, name: str) -> None:
    outer, inner, message = DAMAGE[name]
    save_ticket(make_rich_ticket(), tmp_path / "ticket")
    (tmp_path / "ticket").write_bytes(edited((tmp_path / "ticket").read_bytes(), outer, inner))
    with pytest.raises(BenchError, match=message):
        read_ticket(tmp_path / "ticket")


def test_a_flipped_sign_is_found_by_the_digest(tmp_path: Path) -> None:
    ticket, path = make_rich_ticket(("signs",)), tmp_path / "ticket"
    save_ticket(ticket, path)
    assert ticket.found.signs is not None and ticket.mask is not None
    other = ticket.found.signs ^ ticket.mask
    save_ticket(replace(ticket, found=replace(ticket.found, signs=other)), tmp_path / "other")
    content, flipped = path.read_bytes(), (tmp_path / "other").read_bytes()
    size = 8 + int.from_bytes(content[:8], "little")
    path.write_bytes(content[:size] + flipped[size:])
    with pytest.raises(BenchError, match="does not have the digest"):
        read_ticket(path)
