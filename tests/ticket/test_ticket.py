"""The ticket file: it rebuilds the network bit for bit, and says so when it cannot."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import slt_bench
from slt_bench.common.errors import BenchError
from slt_bench.networks.budget import freeze
from slt_bench.networks.source import FREE
from slt_bench.ticket.describe import describe
from slt_bench.ticket.file import read_ticket, save_ticket
from slt_bench.ticket.sizes import ticket_sizes
from slt_bench.ticket.ticket import TicketSource
from tests.toys_tickets import FROM_TICKET, FROZEN, SOURCES, make_child_ticket, make_ticket


@pytest.mark.parametrize(
    ("source", "learned", "scale"),  # every pair of values
    [("dense", "scores", "none"), ("dense", "weights", "dynamic"), ("pruned", "scores", "dynamic"),
     ("pruned", "weights", "none"), ("frozen", "scores", "none"), ("frozen", "weights", "dynamic")],
)  # fmt: skip
def test_round_trip_is_bit_exact(tmp_path: Path, source: str, learned: str, scale: str) -> None:
    ticket, path = make_ticket(SOURCES[source], learned, scale=scale), tmp_path / "ticket"
    save_ticket(ticket, path)
    images = torch.randn(4, 3, 8, 8)
    read = read_ticket(path)
    assert torch.equal(read.network(images), ticket.network()(images))
    assert read.size == path.stat().st_size
    save_ticket(read.ticket, tmp_path / "again")
    assert path.read_bytes() == (tmp_path / "again").read_bytes()


@pytest.mark.parametrize("kind", ["conv2", "resnet18"])
def test_a_plain_module_gives_the_same_logits(tmp_path: Path, kind: str) -> None:
    ticket, path = make_ticket(kind=kind), tmp_path / "ticket"
    save_ticket(ticket, path)
    module = slt_bench.load_ticket(path)
    images = torch.randn(4, 3, 8, 8)
    torch.testing.assert_close(module(images), ticket.network()(images), rtol=0, atol=0)
    assert not any(parameter.requires_grad for parameter in module.parameters())


@pytest.mark.parametrize("kind", ["conv2", "resnet18"])
def test_an_exported_program_gives_the_same_logits(tmp_path: Path, kind: str) -> None:
    save_ticket(make_ticket(kind=kind), tmp_path / "ticket")
    module, images = slt_bench.load_ticket(tmp_path / "ticket"), torch.randn(4, 3, 8, 8)
    torch.testing.assert_close(torch.export.export(module, (images,)).module()(images), module(images))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["conv2", "resnet18"])
def test_onnx_gives_the_same_logits(tmp_path: Path, kind: str) -> None:
    onnx = pytest.importorskip("onnx")
    from onnx.reference import ReferenceEvaluator

    save_ticket(make_ticket(kind=kind), tmp_path / "ticket")
    module, images = slt_bench.load_ticket(tmp_path / "ticket"), torch.randn(2, 3, 8, 8)
    torch.onnx.export(module, (images,), tmp_path / "ticket.onnx", dynamo=True, input_names=["images"])
    (logits,) = ReferenceEvaluator(onnx.load(tmp_path / "ticket.onnx")).run(None, {"images": images.numpy()})
    torch.testing.assert_close(torch.from_numpy(logits), module(images), rtol=1e-3, atol=1e-4)


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


def test_a_damaged_code_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "ticket"
    save_ticket(make_ticket(), path, mask="coded")
    whole = path.read_bytes()
    for position in range(len(whole) - 300, len(whole), 7):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0x40]) + whole[position + 1 :])
        with pytest.raises(BenchError, match="damaged"):
            read_ticket(path)


def test_float16_statistics(tmp_path: Path) -> None:
    ticket, path = make_ticket(), tmp_path / "ticket"
    save_ticket(ticket, path, statistics="float16")
    read, images = read_ticket(path), torch.randn(4, 3, 8, 8)
    assert torch.equal(read.ticket.batch_norm_var, ticket.batch_norm_var.half().float())
    torch.testing.assert_close(read.network(images), ticket.network()(images), rtol=0.02, atol=0.02)
    ticket.batch_norm_var[0] = 1e6
    with pytest.raises(BenchError, match="beyond float16"):
        save_ticket(ticket, path, statistics="float16")


@pytest.mark.parametrize("learned", ["scores", "weights"])
def test_roles_from_another_ticket_are_stored(tmp_path: Path, learned: str) -> None:
    ticket = make_child_ticket(learned)
    save_ticket(ticket, tmp_path / "ticket")
    read, images = read_ticket(tmp_path / "ticket"), torch.randn(4, 3, 8, 8)
    assert read.ticket.roles is not None and ticket.roles is not None and torch.equal(read.ticket.roles, ticket.roles)
    assert torch.equal(read.network(images), ticket.network()(images))
    with pytest.raises(BenchError, match="takes its roles from a ticket"):
        ticket.spec.build()


@pytest.mark.parametrize("kind", ["frozen", "child"])
def test_any_flipped_byte_is_noticed(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "ticket"
    save_ticket(make_child_ticket() if kind == "child" else make_ticket(), path)
    whole = path.read_bytes()
    for position in [*range(0, len(whole), 13), *range(len(whole) - 40, len(whole))]:
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0x40]) + whole[position + 1 :])
        with pytest.raises(BenchError, match=r"damaged|no ticket|not known to this version"):
            read_ticket(path)


@pytest.mark.parametrize("left", [0, 7, 100, -1])
def test_a_truncated_file_is_noticed(tmp_path: Path, left: int) -> None:
    path = tmp_path / "ticket"
    save_ticket(make_ticket(), path)
    path.write_bytes(path.read_bytes()[:left])
    with pytest.raises(BenchError, match="no ticket, or a damaged one"):
        read_ticket(path)


def test_foreign_and_missing_files(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="there is no ticket"):
        read_ticket(tmp_path / "nothing")
    save_file({"x": torch.zeros(3)}, tmp_path / "foreign")
    with pytest.raises(BenchError, match="but no ticket of slt-bench"):
        read_ticket(tmp_path / "foreign")
    (tmp_path / "text").write_text("hello")
    with pytest.raises(BenchError, match="is no ticket"):
        read_ticket(tmp_path / "text")


def test_description(tmp_path: Path) -> None:
    ticket, path = make_ticket(), tmp_path / "ticket"
    save_ticket(ticket, path)
    text = describe(read_ticket(path))
    _, source = ticket.spec.build()
    shapes = [layer.shape for layer in source.layers]
    assert freeze(shapes, 0.25, 0.25, "epl", "joint").free.sum() == source.count(FREE)
    assert f"{source.count(FREE):,} bits" in text and f"{path.stat().st_size:,} bytes" in text
    assert "cell, identity 0123456789ab" in text
    assert "frozen: pruned 25 % + locked 25 % (epl)" in text and "features.0.weight" in text and "digest matches" in text
    save_ticket(make_ticket(learned="weights"), path)
    assert "no ticket" in describe(read_ticket(path))


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


def test_the_header_keeps_the_keys_of_the_source(tmp_path: Path) -> None:
    """Whatever params.yaml calls them."""
    save_ticket(make_child_ticket(), tmp_path / "ticket")
    content = (tmp_path / "ticket").read_bytes()
    header = json.loads(json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]["slt-bench"])
    assert header["spec"]["source"] == {
        "prune_ratio": 0.5, "lock_ratio": 0.1, "layout": "from_ticket", "ticket": "a_b_c_d_e_f_g",
        "ticket_identity": "0123456789ab", "shuffled": False,
    }  # fmt: skip
