"""The parts of a run on a GPU, in their order, each by itself."""

from __future__ import annotations

from benchmarks.gpu.correct import environment, laws, recording, selection
from benchmarks.gpu.fast import compiled, host, images, memory, side_by_side, steps

PARTS = {
    "Environment": environment, "Laws on the device": laws, "Recording beside a loader": recording, "Selection": selection,
    "Steps": steps, "Host and equal bits": host, "Memory": memory, "Images": images, "Searches side by side": side_by_side,
    "torch.compile": compiled,
}  # fmt: skip
