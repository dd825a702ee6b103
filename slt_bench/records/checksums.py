"""The digests of a cell's result files, which reveal damage: SHA256SUMS, which `sha256sum -c` reads too."""

from __future__ import annotations

from pathlib import Path

from slt_bench.common.files import sha256, write_text

NAME = "SHA256SUMS"
TICKETS = ("ticket.safetensors", "last.safetensors")
OF_A_SEARCH = (*TICKETS, "history.csv", "search.json")
_FILES = (*OF_A_SEARCH, "confusion.json", "metrics.json")


def write_checksums(directory: Path) -> None:
    """Write the digests of the result files in a directory; this completes the result of a cell."""
    lines = [f"{sha256(directory / name)}  {name}\n" for name in _FILES if (directory / name).is_file()]
    write_text(directory / NAME, "".join(lines))


def remove_results(directory: Path) -> None:
    """Remove the result files of a directory, the digests first, so that no half of a result looks whole."""
    for name in (NAME, *reversed(_FILES)):
        (directory / name).unlink(missing_ok=True)


def damaged_files(directory: Path, tickets: bool = True) -> list[str]:
    """List the result files that have changed since they were written; none where there are no digests yet.

    Args:
        directory: the cell's.
        tickets: whether the tickets, which may be large, are read too.
    """
    try:
        lines = (directory / NAME).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    except (OSError, ValueError):
        return [NAME]
    entries = [(name, digest) for digest, _, name in (line.partition("  ") for line in lines)]
    checked = [(name, digest) for name, digest in entries if tickets or name not in TICKETS]
    return [name for name, digest in checked if not _has_digest(directory / name, digest)]


def _has_digest(path: Path, digest: str) -> bool:
    try:
        return sha256(path) == digest
    except OSError:
        return False
