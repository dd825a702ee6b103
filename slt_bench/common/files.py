"""Files that are written whole or not at all, and locks that the operating system frees."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from slt_bench.common.errors import BenchError

_A_LOOK = 0.5  # seconds: far longer than somebody who looks at a lock holds it


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Replace a file whole: yields a temporary path beside it, which takes its place once the block has ended well.

    Args:
        path: of the file; its directory is made if need be.

    Yields:
        The temporary path; its content is flushed to disk before it takes the file's place.

    Raises:
        BenchError: the file cannot be written; the old one is still there.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise BenchError(f"cannot write {path}: {error.strerror or error}; nothing that was there is lost") from error
    finally:
        with suppress(OSError):  # of a file that is not there, on a disk that one may only read
            temporary.unlink()


@contextmanager
def replaced(directory: Path) -> Iterator[Path]:
    """Replace a directory whole: yields an empty one beside it, which takes its place once the block has ended well.

    Args:
        directory: its old content is gone afterwards.

    Yields:
        The empty directory.

    Raises:
        BenchError: the directory cannot be written.
    """
    fresh, old = (directory.with_name(f".{directory.name}.{os.getpid()}.{end}") for end in ("tmp", "old"))
    if directory.is_symlink() or directory.is_file():
        raise BenchError(f"{directory} is no directory of its own, and is not replaced: remove it, or name another place")
    try:
        for leftover in (fresh, old):  # of a process of this number that was killed
            shutil.rmtree(leftover, ignore_errors=True)
        fresh.mkdir(parents=True)
        yield fresh
        if directory.exists():
            directory.replace(old)
        fresh.replace(directory)
    except OSError as error:
        raise BenchError(f"cannot write {directory}: {error.strerror or error}") from error
    finally:
        if old.exists() and not directory.exists():  # stopped between both
            old.replace(directory)
        for leftover in (fresh, old):
            shutil.rmtree(leftover, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write a whole text file or nothing."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write a whole file or nothing.

    Libraries hand over bytes instead of writing by themselves: some hide a full disk behind errors of their own.
    """
    with atomic(path) as temporary:
        temporary.write_bytes(content)


def check_writable(directory: Path) -> None:
    """Check, before hours of work, that files can be written into a directory; it is made if need be.

    Raises:
        BenchError: they cannot.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=directory):
            pass
    except OSError as error:
        raise BenchError(f"cannot write into {directory}: {error.strerror or error}") from error


@contextmanager
def exclusive(directory: Path) -> Iterator[None]:
    """Hold the lock of a directory during the block; the operating system frees it with the process, however that ends.

    Raises:
        BenchError: another process holds it.
    """
    with _lock_file(directory / "lock") as file:
        if not _locked(file):
            raise BenchError(f"another process is at work in {directory}; wait for it or end it")
        for leftover in directory.glob(".*.tmp"):  # of a process that was killed
            leftover.unlink(missing_ok=True)
        yield


def _locked(file: IO[str]) -> bool:
    """Take the lock of a file; who only looks whether it is held (`is_held`) has it for a moment, which is waited for."""
    end = time.monotonic() + _A_LOOK
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > end:
                return False
            time.sleep(0.01)


def is_held(directory: Path) -> bool:
    """Whether a process holds the lock of a directory (`exclusive`)."""
    try:
        with (directory / "lock").open(encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # there is none
        return False
    return False


def wait_until_free(directory: Path, seconds: float) -> None:
    """Wait until no process holds the lock of a directory, but no longer than some seconds."""
    end = time.monotonic() + seconds
    while is_held(directory) and time.monotonic() < end:
        time.sleep(0.1)


@contextmanager
def in_turn(file: Path) -> Iterator[None]:
    """Hold the lock of a file during the block while other processes wait for it: for work that must be done once."""
    with _lock_file(file) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _lock_file(path: Path) -> IO[str]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("w", encoding="utf-8")
    except OSError as error:
        raise BenchError(f"cannot write {path}: {error.strerror or error}") from error


def sha256(path: Path) -> str:
    """Compute the SHA-256 of a file's content, in 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
