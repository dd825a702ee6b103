"""Checkpoints: the saved state of a search, from which a stopped one goes on."""

from __future__ import annotations

import hashlib
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slt_bench.common.errors import BenchError
from slt_bench.common.files import atomic
from slt_bench.compute.world import World

if TYPE_CHECKING:
    from torch import Tensor


class Checkpoint:
    """The checkpoint of one search: its last saved state, and the one before."""

    def __init__(self, directory: Path, key: dict[str, str], afresh: bool = False) -> None:
        """Name the files; none is read or written yet.

        Args:
            directory: of the state of this search alone.
            key: name -> value of everything that determines the result of the search.
            afresh: whether a state of another key counts for nothing, in place of an error.
        """
        self.path, self.previous = directory / "checkpoint.pt", directory / "previous.pt"
        self.key, self.afresh = key, afresh

    def save(self, state: dict[str, Any], write: bool = True) -> None:
        """Replace the saved state and keep the one before; a kill in the middle leaves one of them.

        Args:
            state: tensors and plain values, the same in every process.
            write: whether this process writes the file: one of several does.

        Raises:
            BenchError: the file cannot be written.
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
        """Read the saved state, or the one before where that is damaged or missing.

        Returns:
            The state, its tensors on the CPU; None where none was saved.

        Raises:
            BenchError: both files are damaged, or the state belongs to other parameters, data, code, device or libraries.
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
                made = f"checkpoint {path} was made with other {self._differences(saved['key'])}"
                if (device := saved["key"].get("device")) != self.key.get("device"):  # it may be wanted where such a device is
                    raise BenchError(f"{made}: go on where there is a {device}, or remove {path.parent} to start afresh")
                if not self.afresh:
                    remedy = f"remove {path.parent} to start afresh, or `slt-bench run` or `rates` with --afresh"
                    raise BenchError(f"{made}: {remedy}")
                print(f"note: {made}; the search begins anew", flush=True)
                return None
            state: dict[str, Any] = saved["state"]
            return state
        if failure is not None:
            raise BenchError(f"the checkpoints in {self.path.parent} are damaged: delete it to start afresh") from failure
        return None

    def _differences(self, saved_key: dict[str, str]) -> str:
        """List what a saved state was made with that is not as now."""
        return ", ".join(
            f"{name} ({saved_key.get(name, 'unknown')} instead of {value})"
            for name, value in self.key.items()
            if saved_key.get(name) != value
        )

    def delete(self) -> None:
        """Remove the state of a search that is done."""
        for path in (self.path, self.previous):
            path.unlink(missing_ok=True)


def check_agreement(learned: Tensor, epochs: int, steps: int, world: World) -> None:
    """Check that all processes go on from one state, which each of them has read from the project's directory.

    Args:
        learned: float32[n], the values that the search moves.
        epochs: finished epochs.
        steps: steps that are done of the epoch under way.
        world: the processes that must agree.

    Raises:
        BenchError: they do not.
    """
    hasher = hashlib.sha256(learned.cpu().numpy().tobytes())
    hasher.update(f"{epochs} {steps}".encode())
    if not world.agrees(int.from_bytes(hasher.digest()[:7], "little"), learned.device):
        raise BenchError("the processes found different saved states: all must see the same project directory")
