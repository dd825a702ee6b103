"""The digests of a cell's result files, which reveal damage: SHA256SUMS, which `sha256sum -c` reads too."""

from __future__ import annotations

from pathlib import Path

from slt_bench.common.files import sha256, write_text

NAME = "SHA256SUMS"
TICKETS = ("ticket.safetensors", "last.safetensors")
OF_A_SEARCH = (*TICKETS, "history.csv", "search.json")
OF_A_RESULT = (*OF_A_SEARCH, "confusion.json", "metrics.json")


def write_checksums(directory: Path) -> None:
    """Write the digests of the result files in a directory; this completes the result of a cell."""
    lines = [f"{sha256(directory / name)}  {name}\n" for name in OF_A_RESULT if (directory / name).is_file()]
    write_text(directory / NAME, "".join(lines))


def remove_results(directory: Path) -> None:
    """Remove the result files of a directory, the digests first, so that no half of a result looks whole."""
    for name in (NAME, *reversed(OF_A_RESULT)):
        (directory / name).unlink(missing_ok=True)


def damaged_files(directory: Path, tickets: bool = True) -> list[str]:
    """List the result files that have changed since they were written; none where there is no file of digests yet.

    A file of digests that lacks one of the result files that are there is damaged itself.

    Args:
        directory: the cell's.
        tickets: whether the tickets, which may be large, are read too.
    """
    try:
        digests = dict(_entries(directory))
    except FileNotFoundError:
        return []
    except (OSError, ValueError):
        return [NAME]
    if any((directory / name).exists() for name in OF_A_RESULT if name not in digests):
        return [NAME]
    checked = [(name, digest) for name, digest in digests.items() if tickets or name not in TICKETS]
    return [name for name, digest in checked if not _has_digest(directory / name, digest)]


def recorded_digest(directory: Path | None) -> str | None:
    """Return the digest of the ticket that a finished cell had, twelve hex digits; None where it is not on record.

    Args:
        directory: the cell's; None if there is none.
    """
    try:
        return dict(_entries(directory))[TICKETS[0]][:12] if directory else None
    except (OSError, ValueError, KeyError):
        return None


def _entries(directory: Path) -> list[tuple[str, str]]:
    """Read the names of the result files with their digests."""
    lines = (directory / NAME).read_text(encoding="utf-8").splitlines()
    return [(name, digest) for digest, _, name in (line.partition("  ") for line in lines)]


def _has_digest(path: Path, digest: str) -> bool:
    try:
        return sha256(path) == digest
    except OSError:
        return False
