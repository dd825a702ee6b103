"""Files are whole or not there; a checkpoint of something else is refused by name."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from slt_bench.common.errors import BenchError
from slt_bench.common.files import atomic, exclusive, write_text
from slt_bench.search.checkpoint import Checkpoint


def test_an_interrupted_write_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_text(path, "before")
    with pytest.raises(KeyboardInterrupt), atomic(path) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "before" and list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_said_and_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_text(path, "before")
    with (
        pytest.raises(BenchError, match=r"cannot write .*No space left on device; nothing that was there is lost"),
        atomic(path),
    ):
        raise OSError(28, "No space left on device")
    assert path.read_text() == "before"


def test_a_file_size_limit_ends_in_the_same_error(tmp_path: Path) -> None:
    """A full disk as the operating system reports it, for what torch and safetensors write too."""
    script = (
        "import resource, signal, sys; from pathlib import Path; import torch\n"
        "from slt_bench.search.checkpoint import Checkpoint; from slt_bench.common.errors import BenchError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try:\n    Checkpoint(Path(sys.argv[1]), {}).save({'scores': torch.zeros(10_000)})\n"
        "except BenchError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True)
    assert "cannot write" in done.stdout, done.stderr
    assert "File too large" in done.stdout
    assert not list(tmp_path.iterdir())


def test_a_checkpoint_comes_back(tmp_path: Path) -> None:
    import torch

    checkpoint = Checkpoint(tmp_path, {"parameters": "a", "data": "b"})
    assert checkpoint.load() is None
    checkpoint.save({"scores": torch.arange(3.0), "history": [{"epoch": 1}]})
    state = checkpoint.load()
    assert state is not None and state["scores"].tolist() == [0, 1, 2] and state["history"] == [{"epoch": 1}]
    checkpoint.delete()
    assert checkpoint.load() is None


def test_a_checkpoint_of_other_data_is_refused_by_name(tmp_path: Path) -> None:
    Checkpoint(tmp_path, {"parameters": "a", "data": "b", "code": "c"}).save({})
    with pytest.raises(BenchError, match=r"was made with other data \(b instead of x\), code \(c instead of y\): delete "):
        Checkpoint(tmp_path, {"parameters": "a", "data": "x", "code": "y"}).load()


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path, {})
    checkpoint.path.write_bytes(b"torn")
    with pytest.raises(BenchError, match=r"the checkpoints in .* are damaged: delete it"):
        checkpoint.load()


def test_one_process_at_a_time(tmp_path: Path) -> None:
    with exclusive(tmp_path), pytest.raises(BenchError, match="another process is at work"), exclusive(tmp_path):
        pass
    with exclusive(tmp_path):
        pass


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
