"""Nothing in a step that a GPU records is read by the host: shown without a GPU, on tensors that have shapes and no values."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.gpu.size import SEARCHES
from benchmarks.steps import Case, step_of
from slt_bench.params.searches import BUILT_IN, search_class
from slt_bench.search.methods.bernoulli import BernoulliMethod
from slt_bench.search.methods.contract import is_replayable
from slt_bench.search.steps.step import Step

_OURS = ("slt_bench.", "torch.nn.modules")


class WithoutValues:
    """Puts a step on a GPU that is not there: each tensor of its parts becomes one without values."""

    def __init__(self) -> None:
        self.mode, self._seen = FakeTensorMode(), dict[int, tuple[Any, Any]]()  # with the original, so that ids stay its own

    def moved(self, thing: Any) -> Any:
        """Return a tensor's twin, or a thing all of whose tensors are replaced by theirs."""
        if isinstance(thing, list | tuple) and type(thing) in (list, tuple):
            return type(thing)(map(self.moved, thing))
        if isinstance(thing, dict):
            thing.update({key: self.moved(value) for key, value in thing.items()})
            return thing
        if id(thing) not in self._seen:
            self._seen[id(thing)] = thing, self._twin(thing) if isinstance(thing, Tensor) else thing
            if type(thing).__module__.startswith(_OURS) and hasattr(thing, "__dict__"):
                for name, value in list(vars(thing).items()):
                    object.__setattr__(thing, name, self.moved(value))
        return self._seen[id(thing)][1]

    def _twin(self, tensor: Tensor) -> Tensor:
        with self.mode:
            twin = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="cuda")
        return nn.Parameter(twin) if isinstance(tensor, nn.Parameter) else twin.requires_grad_(tensor.requires_grad)


class NoCopies(TorchDispatchMode):
    """Refuses what has tensors both of the host and of the device, but for single numbers of the host."""

    def __init__(self) -> None:
        TorchDispatchMode.__init__(self)

    def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), options: Any = None) -> Any:
        found = function(*arguments, **(options or {}))
        tensors = [
            thing for thing in (*arguments, *(found if isinstance(found, tuple) else (found,))) if isinstance(thing, Tensor)
        ]
        devices = {thing.device.type for thing in tensors if thing.dim() or thing.is_cuda}
        assert len(devices) < 2, f"{function} goes between host and device"
        return found


def run_without_values(step: Step, monkeypatch: pytest.MonkeyPatch) -> None:
    """Do a step where nothing has a value; the backward pass, torch's own, is left out."""
    there, network = WithoutValues(), step.gradient.network
    there.moved(step)
    step.rate = there.moved(torch.zeros(()))

    def backward(_: Tensor) -> None:
        network._take_gradient([layer.view(torch.empty_like(network.effective)) for layer in network.source.layers])

    monkeypatch.setattr(Tensor, "backward", backward)
    with there.mode, NoCopies():
        images, labels = torch.randn(4, 3, 32, 32, device="cuda"), torch.randint(0, 10, (4,), device="cuda")
        assert images.is_cuda and step.method.learned.is_cuda and network.effective.is_cuda
        step.set_rate(0.1)
        step(images, labels, 0, 1, 0.1)


def a_step(kind: str, frozen: float = 0.0) -> Step:
    search = search_class(kind)(kind=kind, **SEARCHES[kind])
    return step_of(Case("conv2", 4, width=0.125, freezing_ratio=frozen, scale="dynamic"), search)


@pytest.mark.parametrize("frozen", [0.0, 0.5])
@pytest.mark.parametrize("kind", BUILT_IN)
def test_no_step_that_is_recorded_reads_a_value(kind: str, frozen: float, monkeypatch: pytest.MonkeyPatch) -> None:
    step = a_step(kind, frozen)
    if not is_replayable(step.method):
        pytest.skip("its steps are done one by one")
    run_without_values(step, monkeypatch)


def test_most_searches_are_recorded() -> None:
    assert {kind for kind in BUILT_IN if not is_replayable(a_step(kind).method)} == {"random-mask", "bernoulli", "iterand"}


def test_a_value_that_is_read_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bernoulli masks ask for the number of the step, and draw on the host."""
    step = a_step("bernoulli")
    assert isinstance(step.method, BernoulliMethod)
    with pytest.raises(DataDependentOutputException):
        run_without_values(step, monkeypatch)


def test_a_copy_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    step = a_step("edge-popup")
    monkeypatch.setattr(step.masks, "see", lambda mask: mask.cpu())
    with pytest.raises(AssertionError, match="goes between host and device"):
        run_without_values(step, monkeypatch)
