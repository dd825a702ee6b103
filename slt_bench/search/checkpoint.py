"""The saved state of a running search, which lets a stopped one go on."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

from slt_bench.common.errors import BenchError
from slt_bench.common.files import atomic


class Checkpoint:
    """The state of one running search, in `directory`; `key` names everything that determines its result."""

    def __init__(self, directory: Path, key: dict[str, str]) -> None:
        self.path, self.previous = directory / "checkpoint.pt", directory / "previous.pt"
        self.key = key

    def save(self, state: dict[str, Any], write: bool = True) -> None:
        """Replace the saved state and keep the one before; a kill in the middle leaves one of them.

        Of several processes, which all have the same state, one writes it.
        """
        import torch

        if not write:
            return
        content = BytesIO()  # torch hides a full disk behind errors of its own
        torch.save({"key": self.key, "state": state}, content)
        with atomic(self.path) as temporary:
            temporary.write_bytes(content.getbuffer())
            if self.path.exists():
                self.path.replace(self.previous)

    def load(self) -> dict[str, Any] | None:
        """The saved state, the one before where that is damaged or missing, or None where there is none.

        Raises:
            BenchError: it is unreadable or belongs to other parameters, data or code.
        """
        import torch

        failure: Exception | None = None
        for path in (self.path, self.previous):
            if not path.exists():
                continue
            try:
                saved = torch.load(path, map_location="cpu", weights_only=True)
            except Exception as error:  # torch raises many kinds for a damaged file
                failure = failure or error
                print(f"note: checkpoint {path} is damaged", flush=True)
                continue
            if saved["key"] != self.key:
                was = saved["key"]
                differs = ", ".join(
                    f"{name} ({was.get(name, 'unknown')} instead of {wanted})"
                    for name, wanted in self.key.items()
                    if was.get(name) != wanted
                )
                raise BenchError(f"checkpoint {path} was made with other {differs}: delete {path.parent} to start afresh")
            state: dict[str, Any] = saved["state"]
            return state
        if failure is not None:
            raise BenchError(f"the checkpoints in {self.path.parent} are damaged: delete it to start afresh") from failure
        return None

    def delete(self) -> None:
        """Remove the state of a search that is done."""
        for path in (self.path, self.previous):
            path.unlink(missing_ok=True)
