"""The ticket file: it rebuilds the network bit for bit, and says so when it cannot."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import slt_bench
from slt_bench.common.errors import BenchError
from slt_bench.networks.budget import freeze
from slt_bench.networks.source import FREE
from slt_bench.params.networks import Network
from slt_bench.params.sources import Source
from slt_bench.ticket.describe import describe
from slt_bench.ticket.file import read_ticket, save_ticket
from slt_bench.ticket.mask_coding import sizes
from slt_bench.ticket.ticket import Spec, Ticket
from tests.conftest import FROZEN, PRUNED

SOURCES = {"dense": Source(), "pruned": PRUNED, "frozen": FROZEN}


def make_ticket(source: Source = FROZEN, learned: str = "scores", kind: str = "conv2", scale: str = "none") -> Ticket:
    spec = Spec(
        network=Network(kind=kind, width=0.125), source=source, seed=3, weight_init="kaiming_uniform", scale=scale,
        classes=list("abc"), image_size=8, mean=[0.5] * 3, std=[0.5] * 3, learned=learned, cell="cell", epoch=7,
    )  # fmt: skip
    module, made = spec.build()
    generator = torch.Generator().manual_seed(0)
    channels = sum(part.num_features for part in module.modules() if isinstance(part, nn.BatchNorm2d))
    values = torch.randn(made.count(FREE), generator=generator)
    trained = learned == "weights"
    mean, var = torch.randn(channels, generator=generator), torch.rand(channels, generator=generator) + 0.5
    return Ticket(spec, None if trained else values > 0, values if trained else None, mean, var)


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("learned", ["scores", "weights"])
@pytest.mark.parametrize("scale", ["none", "dynamic"])
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
    def size(source: Source) -> tuple[int, int]:
        ticket = make_ticket(source)
        assert ticket.mask is not None
        save_ticket(ticket, tmp_path / "ticket")
        content = (tmp_path / "ticket").read_bytes()
        return len(content) - int.from_bytes(content[:8], "little"), ticket.mask.numel()  # without the header

    (dense, bits), (frozen, fewer) = size(SOURCES["dense"]), size(FROZEN)
    assert dense - frozen == -(-bits // 8) - -(-fewer // 8)


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("density", [0.0, 0.03, 0.5, 1.0])
def test_a_coded_mask_is_the_same_mask(tmp_path: Path, source: str, density: float) -> None:
    ticket, path = make_ticket(SOURCES[source]), tmp_path / "ticket"
    assert ticket.mask is not None
    ticket.mask.copy_(torch.rand(ticket.mask.shape, generator=torch.Generator().manual_seed(0)) < density)
    save_ticket(ticket, path, mask="coded")
    read = read_ticket(path)
    assert read.ticket.mask is not None and torch.equal(read.ticket.mask, ticket.mask)
    size = sizes(ticket.mask, read.network.free_stops)
    assert size.coded is not None and size.bound <= size.coded <= size.bound + 8 + 0.001 * size.packed
    packed = tmp_path / "packed"
    save_ticket(ticket, packed)
    if density == 0.03:
        assert packed.stat().st_size - path.stat().st_size > 0.5 * size.packed


def test_a_damaged_code_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "ticket"
    save_ticket(make_ticket(), path, mask="coded")
    whole = path.read_bytes()
    for place in range(len(whole) - 300, len(whole), 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x40]) + whole[place + 1 :])
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


def make_heir(learned: str = "scores", scale: str = "none") -> Ticket:
    """A ticket whose source takes its roles from another."""
    source = Source(prune_ratio=0.5, lock_ratio=0.1, layout="from_ticket", ticket="a_b_c_d_e_f_g", ticket_identity="x")
    base = make_ticket(Source(), learned, scale=scale)
    edges = base.network().source.size
    roles = torch.randint(0, 3, (edges,), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    values = torch.randn(int((roles == FREE).sum()), generator=torch.Generator().manual_seed(1))
    trained, spec = learned == "weights", base.spec.model_copy(update={"source": source})
    kept = None if trained else values > 0
    return Ticket(spec, kept, values if trained else None, base.batch_norm_mean, base.batch_norm_var, roles)


@pytest.mark.parametrize("learned", ["scores", "weights"])
def test_roles_from_another_ticket_are_stored(tmp_path: Path, learned: str) -> None:
    ticket = make_heir(learned)
    save_ticket(ticket, tmp_path / "ticket")
    read, images = read_ticket(tmp_path / "ticket"), torch.randn(4, 3, 8, 8)
    assert read.ticket.roles is not None and ticket.roles is not None and torch.equal(read.ticket.roles, ticket.roles)
    assert torch.equal(read.network(images), ticket.network()(images))
    with pytest.raises(BenchError, match="takes its roles from a ticket"):
        ticket.spec.build()


@pytest.mark.parametrize("kind", ["frozen", "heir"])
def test_any_flipped_byte_is_noticed(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "ticket"
    save_ticket(make_heir() if kind == "heir" else make_ticket(), path)
    whole = path.read_bytes()
    for place in [*range(0, len(whole), 13), *range(len(whole) - 40, len(whole))]:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x40]) + whole[place + 1 :])
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
    _, made = ticket.spec.build()
    shapes = [layer.shape for layer in made.layers]
    assert freeze(shapes, 0.25, 0.25, "epl", "joint").free.sum() == made.count(FREE)
    assert f"{made.count(FREE):,} bits" in text and f"{path.stat().st_size:,} bytes" in text
    assert "frozen: pruned 25 % + locked 25 % (epl)" in text and "features.0.weight" in text and "digest matches" in text
    save_ticket(make_ticket(learned="weights"), path)
    assert "no ticket" in describe(read_ticket(path))
