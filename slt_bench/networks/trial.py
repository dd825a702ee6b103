"""The trial of somebody's module: forward passes in evaluation and in training, with random numbers set apart."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn

from slt_bench.networks.registry import BATCH_NORMS

_TRAINED = 2  # images of a batch in training: of one alone a batch norm may have no variance


@contextmanager
def apart(seed: int) -> Iterator[None]:
    """Run a block with random numbers of a seed, and leave those of torch, numpy and Python as they were."""
    python, numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        try:
            torch.manual_seed(seed)
            np.random.seed(seed)
            random.seed(seed)
            yield
        finally:
            np.random.set_state(numpy)
            random.setstate(python)


@torch.no_grad()
def try_out(module: nn.Module, image_size: int, classes: int) -> str:
    """Run images through a module on the CPU, in training twice, and see what that changes.

    Args:
        module: with weights of any values; its batch norms count the images.
        image_size: height and width of the images.
        classes: number of outputs.

    Returns:
        Why the module cannot be searched; empty if it can.
    """
    before = {name: values.clone() for name, values in _own_buffers(module).items()}
    with apart(0):
        images = torch.randn(_TRAINED, 3, image_size, image_size)
        trained = []
        for is_training, batch in ((False, images[:1]), (True, images), (True, images)):
            drawing = _Drawing(module.train(is_training))
            try:
                logits = module(batch)
            except Exception as error:  # whatever a foreign module does
                return f"images {list(batch.shape)} do not pass through it: {type(error).__name__}: {error}"
            finally:
                drawing.end()
            if reason := _wrong_logits(logits, batch, classes) or drawing.reason:
                return reason
            if is_training:
                trained.append(logits.clone())
    if not torch.equal(*trained):
        return "the same images give other logits the second time: it keeps a state that no saved state holds"
    for name, values in _own_buffers(module).items():
        if name not in before or not torch.equal(values, before[name]):
            return f"the buffer {name} changes while it computes: no ticket and no saved state holds it"
    return ""


def _wrong_logits(logits: Any, images: torch.Tensor, classes: int) -> str:
    wanted = [len(images), classes]
    if not isinstance(logits, torch.Tensor):
        return f"images {list(images.shape)} give a {type(logits).__name__} instead of logits {wanted}"
    if list(logits.shape) != wanted:
        return f"images {list(images.shape)} give logits {list(logits.shape)} instead of {wanted}"
    return ""


def _own_buffers(module: nn.Module) -> dict[str, torch.Tensor]:
    """List the buffers of a module without those of its batch norms, by their names."""
    return {
        f"{name}.{key}" if name else key: values
        for name, part in module.named_modules() if not isinstance(part, BATCH_NORMS)
        for key, values in part.named_buffers(recurse=False)
    }  # fmt: skip


class _Drawing:
    """A watch over a module that computes: which part of it draws random numbers first."""

    def __init__(self, module: nn.Module) -> None:
        """Watch a module until `end`."""
        self.reason, self._state = "", _random_state()
        self._hooks = [
            part.register_forward_hook(self._after(name or "the module itself", part)) for name, part in module.named_modules()
        ]

    def _after(self, name: str, part: nn.Module) -> Any:
        def see(*_: Any) -> None:  # the innermost part is through before those around it
            if not self.reason and _random_state() != self._state:
                self.reason = f"{name} ({type(part).__name__}) draws random numbers, which no saved state holds: leave it out"

        return see

    def end(self) -> None:
        """Take the watch away."""
        for hook in self._hooks:
            hook.remove()


def _random_state() -> tuple[Any, ...]:
    numpy: Any = np.random.get_state()
    return torch.get_rng_state().numpy().tobytes(), numpy[1].tobytes(), numpy[2:], random.getstate()
