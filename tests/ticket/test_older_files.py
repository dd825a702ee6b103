"""Files that older versions wrote stay readable, and are verified by the digest that they were written with."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from slt_bench.common.errors import BenchError
from slt_bench.ticket.file import TicketFile, read_ticket, save_ticket
from slt_bench.ticket.ticket import Ticket
from tests.toys_tickets import edited, make_child_ticket, make_ticket


def older_digest(spec: dict[str, Any], file: TicketFile) -> str:
    """As the version wrote it that had cell and identity in one text."""
    hasher = hashlib.sha256(json.dumps(spec, sort_keys=True, separators=(",", ":")).encode())
    for tensor in (file.network.source.roles, file.network.effective, file.ticket.batch_norm_mean, file.ticket.batch_norm_var):
        hasher.update(tensor.numpy().tobytes())
    return hasher.hexdigest()


def write_older(ticket: Ticket, path: Path, cell: str = "cell 0123456789ab") -> TicketFile:
    """Write a ticket with cell and identity in one text; returns it as it is read in its present form."""
    save_ticket(ticket, path)
    file = read_ticket(path)

    def age(header: dict[str, Any]) -> None:
        del header["spec"]["identity"]
        header["spec"]["cell"] = cell
        header["digest"] = older_digest(header["spec"], file)

    path.write_bytes(edited(path.read_bytes(), inner=age))
    return file


@pytest.mark.parametrize("ticket", [make_ticket(), make_child_ticket(), make_ticket(learned="weights")])
def test_cell_and_identity_in_one_text(tmp_path: Path, ticket: Ticket) -> None:
    present = write_older(ticket, tmp_path / "ticket")
    file = read_ticket(tmp_path / "ticket")
    assert (file.ticket.spec.cell, file.ticket.spec.identity) == ("cell", "0123456789ab")
    assert file.ticket.spec == present.ticket.spec and file.digest != present.digest
    assert torch.equal(file.network.effective, present.network.effective)
    save_ticket(file.ticket, tmp_path / "again")
    assert read_ticket(tmp_path / "again").digest == present.digest


def test_an_older_file_is_verified_too(tmp_path: Path) -> None:
    write_older(make_ticket(), tmp_path / "ticket")
    content = (tmp_path / "ticket").read_bytes()
    (tmp_path / "ticket").write_bytes(content.replace(b"cell 0123456789ab", b"cell 0123456789aa"))
    with pytest.raises(BenchError, match="does not have the digest in its header"):
        read_ticket(tmp_path / "ticket")


@pytest.mark.parametrize("cell", ["cell", "cell not-an-identity", "cell 0123456789ab "])
def test_an_older_file_without_an_identity_is_refused(tmp_path: Path, cell: str) -> None:
    write_older(make_ticket(), tmp_path / "ticket", cell)
    with pytest.raises(BenchError, match="damaged ticket: identity in its spec"):
        read_ticket(tmp_path / "ticket")
