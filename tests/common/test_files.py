"""Files are written whole or not at all, and one process at a time holds a lock."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from slt_bench.common import files
from slt_bench.common.errors import BenchError
from slt_bench.common.files import atomic, check_writable, exclusive, is_held, replaced, sha256, write_bytes, write_text
from tests.full_disk import largest_file


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


def test_a_file_that_becomes_too_large_is_said_and_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_text(path, "before")
    with largest_file(1000), pytest.raises(BenchError, match=r"cannot write .*file: File too large; nothing that was there"):
        write_bytes(path, bytes(10_000))
    assert path.read_text() == "before" and list(tmp_path.iterdir()) == [path]


def test_a_directory_is_replaced_whole_or_stays(tmp_path: Path) -> None:
    directory = tmp_path / "figures"
    directory.mkdir()
    write_text(directory / "old", "old")
    with pytest.raises(KeyboardInterrupt), replaced(directory) as fresh:
        write_text(fresh / "new", "half")
        raise KeyboardInterrupt
    assert [path.name for path in tmp_path.rglob("*")] == ["figures", "old"]
    with replaced(directory) as fresh:
        write_text(fresh / "new", "whole")
    assert [path.name for path in tmp_path.rglob("*")] == ["figures", "new"]


def test_a_stop_between_the_old_directory_and_the_new_one_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory, replace = tmp_path / "figures", Path.replace
    directory.mkdir()
    write_text(directory / "old", "old")

    def stopped(path: Path, target: Path) -> Path:
        if path.name.endswith(".tmp") and path.is_dir():
            monkeypatch.undo()
            raise KeyboardInterrupt
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", stopped)
    with pytest.raises(KeyboardInterrupt), replaced(directory) as fresh:
        (fresh / "new").touch()
    assert [path.name for path in tmp_path.rglob("*")] == ["figures", "old"]


def test_what_is_no_directory_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "file").touch()
    for name in ("link", "file"):
        with pytest.raises(BenchError, match="is no directory of its own, and is not replaced"), replaced(tmp_path / name):
            raise AssertionError("it is said beforehand")
    (tmp_path / f".real.{os.getpid()}.old").mkdir()  # of a process of this number that was killed
    (tmp_path / f".real.{os.getpid()}.old" / "x").touch()
    with replaced(tmp_path / "real") as fresh:
        (fresh / "new").touch()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "link", "real"]


def test_a_place_that_cannot_be_written_is_named_beforehand(tmp_path: Path) -> None:
    write_text(tmp_path / "file", "in the way")
    with pytest.raises(BenchError, match=r"cannot write into .*below: Not a directory"):
        check_writable(tmp_path / "file" / "below")
    check_writable(tmp_path / "new" / "directory")
    assert not list((tmp_path / "new" / "directory").iterdir())


def test_a_digest_is_that_of_the_content(tmp_path: Path) -> None:
    write_text(tmp_path / "file", "abc")
    assert sha256(tmp_path / "file") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_who_looks_at_a_lock_keeps_nobody_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `slt-bench plan` does while a search begins."""
    monkeypatch.setattr(files, "_A_LOOK", 30.0)  # of a busy machine
    looking, done = Event(), Event()

    def look() -> None:
        while not done.is_set():
            is_held(tmp_path)
            looking.set()

    with exclusive(tmp_path):  # makes the file
        pass
    with ThreadPoolExecutor(1) as thread:
        looks = thread.submit(look)
        assert looking.wait(10)
        try:
            for _ in range(200):
                with exclusive(tmp_path):
                    pass
        finally:
            done.set()
        looks.result()


def test_one_process_at_a_time(tmp_path: Path) -> None:
    with exclusive(tmp_path), pytest.raises(BenchError, match="another process is at work"), exclusive(tmp_path):
        pass
    (tmp_path / ".half.123.tmp").touch()  # of a process that was killed
    with exclusive(tmp_path):
        assert [path.name for path in tmp_path.iterdir()] == ["lock"]


def test_a_file_is_on_disk_before_it_takes_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    happened, fsync, take = list[str](), os.fsync, Path.replace

    def synced(file: int) -> None:
        happened.append("fsync")
        fsync(file)

    def taken(self: Path, target: Path) -> Path:
        happened.append("replace")
        return take(self, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", taken)
    files.write_text(tmp_path / "file", "text")
    assert happened == ["fsync", "replace"]
