"""The text that describes a ticket file to a reader."""

from __future__ import annotations

from pathlib import Path

import pytest

from slt_bench.networks.budget import freeze
from slt_bench.networks.roles import FREE
from slt_bench.ticket.describe import describe, forms
from slt_bench.ticket.file import read_ticket, save_ticket
from slt_bench.ticket.ticket import TicketSource
from tests.toys_tickets import FROM_TICKET, FROZEN, SOURCES, make_rich_ticket, make_ticket


def test_description(tmp_path: Path) -> None:
    ticket, path = make_ticket(), tmp_path / "ticket"
    save_ticket(ticket, path)
    text = describe(read_ticket(path))
    _, source = ticket.spec.build()
    shapes = [layer.shape for layer in source.layers]
    assert freeze(shapes, 0.25, 0.25, "epl", "joint").free.sum() == source.count(FREE)
    assert f"{source.count(FREE):,} bits" in text and f"{path.stat().st_size:,} bytes" in text
    assert "cell, identity 0123456789ab" in text
    assert "frozen: pruned 25 % + locked 25 % (epl)" in text and "features.0.weight" in text and text.endswith("matches")
    assert "by mean 0.5, 0.5, 0.5 and deviation" in text and "classes              " in text
    save_ticket(make_ticket(learned="weights"), path)
    assert "no ticket" in describe(read_ticket(path))
    save_ticket(make_rich_ticket(), path)
    rich = describe(read_ticket(path))
    assert "signs, up to 5 coats, weights drawn anew up to 3 times, one magnitude a layer" in rich and "formula" not in rich
    nothing_free = TicketSource(prune_ratio=0.5, lock_ratio=0.5, layout="uniform", lock_rule="joint")
    save_ticket(make_rich_ticket(source=nothing_free), path)
    assert "up to 0 coats" in describe(read_ticket(path)), "no edge is free"


def test_forms(tmp_path: Path) -> None:
    for form in (("coded", "float16"), ("packed", "float32")):
        save_ticket(make_ticket(), tmp_path / "ticket", *form)
        assert forms(tmp_path / "ticket") == form


@pytest.mark.parametrize(
    ("source", "kind", "text"),
    [
        (SOURCES["dense"], "dense", "dense"),
        (SOURCES["pruned"], "randomly pruned", "pruned 40 % (erk)"),
        (FROZEN.model_copy(update={"lock_rule": "mirrored"}), "frozen", "pruned 25 % + locked 25 % (epl, mirrored)"),
        (FROM_TICKET, "from ticket", "pruned 50 % + locked 10 % (as the ticket of a_b_c_d_e_f_g)"),
        (FROM_TICKET.model_copy(update={"shuffled": True}), "from ticket",
         "pruned 50 % + locked 10 % (as the ticket of a_b_c_d_e_f_g, shuffled)"),
    ],
)  # fmt: skip
def test_a_source_for_a_reader(source: TicketSource, kind: str, text: str) -> None:
    assert (source.kind, str(source)) == (kind, text)
