"""The ticket file: it rebuilds the network bit for bit, and says so when it cannot."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import slt_bench
from slt_bench.common.errors import BenchError
from slt_bench.networks.budget import freeze
from slt_bench.params.networks import Kind
from slt_bench.ticket.counts import Counts
from slt_bench.ticket.file import read_ticket, save_ticket
from tests.toys_tickets import FROZEN, SOURCES, make_child_ticket, make_spec, make_ticket


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
def test_a_plain_module_gives_the_same_logits(tmp_path: Path, kind: Kind) -> None:
    ticket, path = make_ticket(kind=kind), tmp_path / "ticket"
    save_ticket(ticket, path)
    module = slt_bench.load_ticket(path)
    images = torch.randn(4, 3, 8, 8)
    torch.testing.assert_close(module(images), ticket.network()(images), rtol=0, atol=0)
    assert not any(parameter.requires_grad for parameter in module.parameters())


@pytest.mark.parametrize("kind", ["conv2", "resnet18"])
def test_an_exported_program_gives_the_same_logits(tmp_path: Path, kind: Kind) -> None:
    save_ticket(make_ticket(kind=kind), tmp_path / "ticket")
    module, images = slt_bench.load_ticket(tmp_path / "ticket"), torch.randn(4, 3, 8, 8)
    torch.testing.assert_close(torch.export.export(module, (images,)).module()(images), module(images))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["conv2", "resnet18"])
def test_onnx_gives_the_same_logits(tmp_path: Path, kind: Kind) -> None:
    onnx = pytest.importorskip("onnx")
    from onnx.reference import ReferenceEvaluator

    save_ticket(make_ticket(kind=kind), tmp_path / "ticket")
    module, images = slt_bench.load_ticket(tmp_path / "ticket"), torch.randn(2, 3, 8, 8)
    torch.onnx.export(module, (images,), tmp_path / "ticket.onnx", dynamo=True, input_names=["images"])
    (logits,) = ReferenceEvaluator(onnx.load(tmp_path / "ticket.onnx")).run(None, {"images": images.numpy()})
    torch.testing.assert_close(torch.from_numpy(logits), module(images), rtol=1e-3, atol=1e-4)


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


def test_a_ticket_is_read_without_what_images_need(tmp_path: Path) -> None:
    """Whoever has a ticket needs torch alone."""
    save_ticket(make_ticket(), tmp_path / "t.safetensors")
    script = (
        "import sys, slt_bench\nfor name in ('numba', 'llvmlite', 'ffcv', 'cv2', 'mlflow', 'dvc'): sys.modules[name] = None\n"
        "import torch\nprint(slt_bench.load_ticket(sys.argv[1])(torch.ones(1, 3, 8, 8)).sum().item())"
    )
    done = subprocess.run([sys.executable, "-c", script, tmp_path / "t.safetensors"], capture_output=True, text=True)
    assert done.stdout.strip() == str(make_ticket().network()(torch.ones(1, 3, 8, 8)).sum().item()), done.stderr


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


def test_the_header_keeps_the_keys_of_the_source(tmp_path: Path) -> None:
    """Whatever params.yaml calls them."""
    save_ticket(make_child_ticket(), tmp_path / "ticket")
    content = (tmp_path / "ticket").read_bytes()
    header = json.loads(json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]["slt-bench"])
    assert header["spec"]["source"] == {
        "prune_ratio": 0.5, "lock_ratio": 0.1, "layout": "from_ticket", "ticket": "a_b_c_d_e_f_g",
        "ticket_identity": "0123456789ab", "shuffled": False,
    }  # fmt: skip


def test_density_counts_locked_edges() -> None:
    assert Counts(total=10, pruned=2, locked=3, kept_free=4).density == 0.7


def test_a_header_that_is_mirrored_is_read_so() -> None:
    spec = make_spec(FROZEN.model_copy(update={"lock_rule": "mirrored"}))
    layers = spec.architecture()[1]
    expected = freeze([layer.shape for layer in layers], 0.25, 0.25, "epl", "mirrored")
    assert spec.budget(layers).locked.tolist() == expected.locked.tolist()
