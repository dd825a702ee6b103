"""The digests of a cell's result files, by which a damaged one is noticed: SHA256SUMS, which `sha256sum -c` reads too."""

from __future__ import annotations

from pathlib import Path

from slt_bench.common.files import sha256, write_text

NAME = "SHA256SUMS"
TICKETS = ("ticket.safetensors", "last.safetensors")
OF_A_SEARCH = (*TICKETS, "history.csv", "search.json")
_FILES = (*OF_A_SEARCH, "confusion.json", "metrics.json")


def write_checksums(directory: Path) -> None:
    """Write the digests of the result files in a directory; with them the cell is done."""
    lines = [f"{sha256(directory / name)}  {name}\n" for name in _FILES if (directory / name).is_file()]
    write_text(directory / NAME, "".join(lines))


def remove_results(directory: Path) -> None:
    """Remove the result files of a directory, the digests first."""
    for name in (NAME, *reversed(_FILES)):
        (directory / name).unlink(missing_ok=True)


def damaged_files(directory: Path, tickets: bool = True) -> list[str]:
    """List the result files that are not as they were written; all are well where there are no digests yet.

    Args:
        directory: of a cell.
        tickets: whether the tickets are read too, which may be large.
    """
    try:
        lines = (directory / NAME).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    except (OSError, ValueError):
        return [NAME]
    sums = [line.partition("  ") for line in lines]
    read = [(name, digest) for digest, _, name in sums if tickets or name not in TICKETS]
    return [name for name, digest in read if not _agrees(directory / name, digest)]


def _agrees(path: Path, digest: str) -> bool:
    try:
        return sha256(path) == digest
    except OSError:
        return False
