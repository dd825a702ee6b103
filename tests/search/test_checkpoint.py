"""A checkpoint comes back whole, the one before it if need be; a checkpoint of something else is refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from slt_bench.common.errors import BenchError
from slt_bench.search.checkpoint import Checkpoint
from tests.full_disk import largest_file


def test_a_checkpoint_comes_back(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path, {"parameters": "a", "data": "b"})
    assert checkpoint.load() is None
    checkpoint.save({"scores": torch.arange(3.0), "history": [{"epoch": 1}]})
    state = checkpoint.load()
    assert state is not None and state["scores"].tolist() == [0, 1, 2] and state["history"] == [{"epoch": 1}]
    checkpoint.delete()
    assert checkpoint.load() is None


def test_a_full_disk_is_said_and_leaves_no_file(tmp_path: Path) -> None:
    """Torch would hide it behind errors of its own."""
    with largest_file(1000), pytest.raises(BenchError, match=r"cannot write .*checkpoint.pt: File too large"):
        Checkpoint(tmp_path, {}).save({"scores": torch.zeros(10_000)})
    assert not list(tmp_path.iterdir())


def test_a_checkpoint_of_other_data_is_refused_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Checkpoint(tmp_path, {"parameters": "a", "data": "b", "code": "c"}).save({})
    told = r"was made with other data \(b instead of x\), code \(c instead of y\): remove .* to start afresh, or `slt-b"
    with pytest.raises(BenchError, match=told):
        Checkpoint(tmp_path, {"parameters": "a", "data": "x", "code": "y"}).load()
    assert Checkpoint(tmp_path, {"parameters": "a", "data": "x", "code": "y"}, afresh=True).load() is None
    assert "note: checkpoint" in capsys.readouterr().out
    Checkpoint(tmp_path, {"device": "cuda"}).save({})
    with pytest.raises(
        BenchError, match=r"go on where there is a cuda, or remove .* to start afresh$"
    ):  # a GPU that hides for a moment throws no state away
        Checkpoint(tmp_path, {"device": "cpu"}, afresh=True).load()


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path, {})
    checkpoint.path.write_bytes(b"torn")
    with pytest.raises(BenchError, match=r"the checkpoints in .* are damaged: delete it"):
        checkpoint.load()


def test_the_state_before_is_kept_and_used_where_the_last_one_is_damaged(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path, {})
    for step in (1, 2, 3):
        checkpoint.save({"step": step})
    assert checkpoint.load() == {"step": 3}
    checkpoint.path.write_bytes(checkpoint.path.read_bytes()[:-40])
    assert checkpoint.load() == {"step": 2}
    checkpoint.path.unlink()  # killed between the two renamings
    assert checkpoint.load() == {"step": 2}
    checkpoint.delete()
    assert checkpoint.load() is None


def test_one_of_several_processes_writes(tmp_path: Path) -> None:
    Checkpoint(tmp_path, {}).save({"step": 1}, write=False)
    assert Checkpoint(tmp_path, {}).load() is None
