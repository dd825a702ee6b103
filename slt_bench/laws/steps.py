"""The laws of a single step: its gradient is right, and it may be recorded if its search says so."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from slt_bench.laws.broken import Broken, equal
from slt_bench.laws.toy import MadeUp, bits, make_cell, make_trainer, run
from slt_bench.params.searches import Search
from slt_bench.search.methods.contract import Method, is_replayable
from slt_bench.search.trainer import Trainer

_STEP = 1e-4  # of numeric derivatives
_DIRECTIONS = 16
_TOLERANCE = 1e-3  # of a derivative along a direction, relative to what its edges contribute


def gradient(search: Search, device: str = "cpu") -> str:
    """The gradient is that of the surrogate and the penalty: central differences in double precision agree."""
    if search.learns == "nothing":
        return "learns nothing"
    trainer, generator, worst = make_trainer(make_cell(search, "frozen"), device), torch.Generator().manual_seed(1), 0.0
    phases = trainer.schedule.phases
    for number, phase in enumerate(phases):
        trainer.method.begin_phase(phase, number, trainer.optimizer)
        trainer.method.compose(number)
        try:
            worst = max(worst, _disagreement(trainer.method, generator))
        except Broken as broken:
            raise Broken(f"phase {number + 1} of {len(phases)}: {broken}") from broken
    steps = f"{_DIRECTIONS} small steps of {trainer.method.learned.numel():,} edges"
    return f"{steps}, in each of {len(phases)} phases, agree with the surrogate within {worst:.1e}"


def _disagreement(method: Method[Any], generator: torch.Generator) -> float:
    """Measure by how much, relatively, the gradient and numeric derivatives differ at most in some directions."""
    learned, device = method.learned.double(), method.learned.device
    by_weights = torch.randn(learned.numel(), generator=generator).to(device)
    found = method.gradient(by_weights.clone()).double()

    def objective(values: Tensor) -> float:
        value = torch.dot(method.surrogate(values), by_weights.double())
        return float(value if (penalty := method.penalty(values)) is None else value + penalty)

    worst = 0.0
    for number in range(_DIRECTIONS):  # each moves some edges by a small part of themselves, so that no sign changes
        moved = (torch.rand(learned.numel(), generator=generator) < 1 / (number + 1)).to(device)
        normal = torch.randn(learned.numel(), generator=generator).clamp(-3, 3).to(device)
        step = _STEP * normal * learned.abs().clamp(min=_STEP) * moved
        numeric, along = (objective(learned + step) - objective(learned - step)) / 2, float(torch.dot(found, step))
        error = abs(along - numeric) / float((found * step).norm().clamp(min=1e-30))
        if not error <= _TOLERANCE:
            raise Broken(
                f"a small step of {int(moved.sum()):,} edges: {along:.6g} by the gradient, {numeric:.6g} by the surrogate"
            )
        worst = max(worst, error)
    return worst


def replay(search: Search, device: str = "cpu") -> str:
    """A search whose steps may be recorded works on the same memory in each; on a GPU the recorded steps give equal bits."""
    trainer = make_trainer(make_cell(search, "frozen", scale="dynamic"), device)
    if not is_replayable(trainer.method):
        return "steps are done one by one"
    before = _addresses(trainer)
    images, labels = next(MadeUp(1, device=device).epoch())
    parts: tuple[Any, ...] = (trainer.method, trainer.optimizer, trainer.masks, trainer.microbatches)
    for number in range(1, 4):
        trainer.step(images, labels, 0, number, 0.1)
        trainer.microbatches.merge()
        for part in parts:
            part.load(part.state())
        after = _addresses(trainer)
        if moved := [name for name, address in after.items() if address != before.get(name, address)]:
            raise Broken(f"after a step it lies elsewhere: {', '.join(moved)}; a recorded step would go on with the old one")
        before = after  # with what the first step has made, which stays where it is, too
    first, later = (_after_a_step(search, device, number) for number in (1, 1000))
    equal(first, later, "the same step with number 1 and number 1000")
    if device == "cpu":
        return f"{len(before)} tensors stay where they are, whatever the step's number"
    one, other = (run(make_cell(search, "frozen"), device, graphs=graphs).tickets() for graphs in (True, False))
    equal(bits(one[1]), bits(other[1]), "steps recorded and one by one")
    return f"{len(before)} tensors stay where they are; recorded steps give the same ticket as others"


def _after_a_step(search: Search, device: str, number: int) -> list[Tensor]:
    """Do the first step of a search as if it had some number, and give what it leaves."""
    trainer = make_trainer(make_cell(search, "frozen", scale="dynamic"), device)
    images, labels = next(MadeUp(1, device=device).epoch())
    trainer.step(images, labels, 0, number, 0.1)
    return [trainer.method.learned, trainer.network.mask, trainer.network.effective, *trainer.method.state().values()]


def _addresses(trainer: Trainer) -> dict[str, int]:
    """List where the tensors lie that a step reads and writes."""
    method, network = trainer.method, trainer.network
    tensors = {
        **{f"state {name}": tensor for name, tensor in method.state().items()},
        **{name: tensor for name, tensor in vars(method).items() if isinstance(tensor, Tensor)},
        **{f"network.{name}": tensor for name, tensor in vars(network).items() if isinstance(tensor, Tensor)},
        "velocity": trainer.optimizer.velocity, "masks seen": trainer.masks.seen, "losses": trainer.gradient.losses,
        "correct": trainer.gradient.correct,
    }  # fmt: skip
    return {name: tensor.data_ptr() for name, tensor in tensors.items() if name != "network._collectable"}
