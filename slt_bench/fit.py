"""The loop: one cell from its source network to its tickets, epoch by epoch, going on where it was stopped."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from slt_bench.cells import Cell
from slt_bench.checkpoint import Checkpoint
from slt_bench.data.loader import Loader
from slt_bench.data.manifest import Manifest
from slt_bench.errors import BenchError
from slt_bench.evaluate import measure
from slt_bench.history import QUANTILES, Epoch
from slt_bench.networks import batch_norm_statistics, set_batch_norm_statistics
from slt_bench.optimizer import Sgd
from slt_bench.schedules import Phase, learning_rate, make_schedule
from slt_bench.selection import Diverged
from slt_bench.start import begin_phase, initial_values, make_spec, precision, roles_of
from slt_bench.statistics import MaskStatistics, magnitude_quantiles
from slt_bench.ticket import Ticket
from slt_bench.ticket_network import TicketNetwork

_MEND = "lower the learning rate of this recipe"


class Fit:
    """The state of one search, and how it moves on by an epoch.

    Args:
        cell: what is to be done.
        manifest: of the dataset: classes and image size.
        train, val: loaders of the two splits.
        device: where the network lives; the source network is drawn on the CPU in any case.
    """

    def __init__(self, cell: Cell, manifest: Manifest, train: Loader, val: Loader, device: torch.device) -> None:
        if not len(train):
            raise BenchError(f"batch_size {cell.recipe.batch_size} exceeds the {train.images} training images")
        self.cell, self.train_loader, self.val_loader, self.device = cell, train, val, device
        self.schedule = make_schedule(cell.search, cell.recipe, cell.source.prune_ratio, cell.sparsity)
        self.spec = make_spec(cell, manifest, self.schedule.learned)
        self.roles = roles_of(cell)
        module, source = self.spec.build(self.roles)
        set_batch_norm_statistics(module, *(each.to(device) for each in batch_norm_statistics(module)))
        learned, start = self.schedule.learned, initial_values(source, cell, self.schedule.learned)
        self.network = TicketNetwork(
            module, source.to(device), start.to(device), learned, cell.recipe.scale,
            getattr(cell.search, "selection", "global"), precision(cell.recipe, device),
        )  # fmt: skip
        self.keeps: list[list[int]] = []  # of each phase
        for phase in self.schedule.phases:
            within = self.keeps[-1] if phase.inside_last_mask else None
            self.keeps.append(self.network.keep_for(phase.sparsity, within))
        self.optimizer = Sgd(self.network.learned, cell.recipe.momentum, cell.recipe.weight_decay)
        self.masks = MaskStatistics(self.network.learned.numel(), device)
        self.history: list[Epoch] = []
        self.seconds: list[float] = []
        self.saved = 0  # epochs that a checkpoint holds
        self.best: dict[str, Any] | None = None

    def run(self, checkpoint: Checkpoint, after_epoch: Callable[[Fit], None], step: Callable[[], object]) -> None:
        """Do what is left of the schedule; the checkpoint is replaced after every epoch. `step` is called every step."""
        if (state := checkpoint.load()) is not None:
            self.load_state(state)
            self.saved = len(self.history)
        while len(self.history) < self.schedule.epochs:
            started = time.perf_counter()
            self.run_epoch(len(self.history), step)
            self.seconds.append(time.perf_counter() - started)
            checkpoint.save(self.state())
            self.saved = len(self.history)
            after_epoch(self)

    def run_epoch(self, epoch: int, step: Callable[[], object] = lambda: None) -> None:
        """Train one epoch, validate, and keep the ticket if it is the best so far at the final sparsity."""
        number, inside = self.schedule.at(epoch)
        phase = self.schedule.phases[number]
        keep = self.keeps[number]
        if not inside:
            begin_phase(self.network, self.optimizer, self.cell, phase, number)
        loss, correct, seen = self._train(epoch, phase, inside, keep, step)
        (found,) = measure([self.network], self.val_loader.epoch(), len(self.spec.classes), self.device)
        steps = len(self.train_loader)
        self.history.append(
            Epoch(
                epoch=epoch + 1,
                sparsity=phase.sparsity,
                learning_rate=learning_rate(self.cell.recipe, phase, inside * steps, steps),
                train_loss=loss / seen,
                train_top1=100 * correct / seen,
                val_loss=found.loss,
                val_top1=found.top1,
                kept=self.network.counts().kept,
                dying_edge_ratio=self.masks.dying_edge_ratio,
                mask_churn=self.masks.churn(self.network.mask),
                score_quantiles=magnitude_quantiles(self.network.learned, QUANTILES),
                layer_density=[count.density for count in self.network.layer_counts()],
            )
        )
        if keep == self.keeps[-1] and (self.best is None or found.top1 > self.best["val_top1"]):
            self.best = {"epoch": epoch + 1, "val_top1": found.top1, **self._stored()}

    def _train(
        self, epoch: int, phase: Phase, inside: int, keep: Sequence[int], step: Callable[[], object]
    ) -> tuple[float, int, int]:
        """One pass over the training images; returns the summed loss, the number of hits and of images."""
        network, recipe, steps = self.network.train(), self.cell.recipe, len(self.train_loader)
        learns = self.schedule.learned != "nothing"
        total = torch.zeros((), dtype=torch.float64, device=self.device)
        correct = torch.zeros((), dtype=torch.long, device=self.device)
        self._select(keep, epoch, 0)
        if not epoch:
            self.masks.churn(network.mask)
        for number, (images, labels) in enumerate(self.train_loader.epoch(epoch)):
            images, labels = images.to(self.device, non_blocking=True), labels.to(self.device, non_blocking=True)
            with torch.set_grad_enabled(learns):
                logits = network(images)
                loss = cross_entropy(logits, labels, label_smoothing=recipe.label_smoothing)
            if learns:
                rate = learning_rate(recipe, phase, inside * steps + number, steps)
                loss.backward()
                self.optimizer.step(rate)
                self._select(keep, epoch, number)
            total += loss.detach().double() * len(labels)
            if not loss.is_cuda and not math.isfinite(loss.item()):  # on a GPU only at the end: asking would make it wait
                raise Diverged(f"epoch {epoch + 1}, step {number + 1}: the loss is {loss.item()}: {_MEND}")
            correct += (logits.argmax(1) == labels).sum()
            step()
        if not math.isfinite(mean := float(total)):
            raise Diverged(f"epoch {epoch + 1}: the loss became {mean}: {_MEND}")
        return mean, int(correct), steps * recipe.batch_size

    def _select(self, keep: Sequence[int], epoch: int, number: int) -> None:
        try:
            self.masks.see(self.network.select(keep))
        except Diverged as error:
            raise Diverged(f"epoch {epoch + 1}, step {number + 1}: {error}") from error

    def _stored(self) -> dict[str, Tensor]:
        """What a ticket stores, as copies."""
        mean, var = batch_norm_statistics(self.network.module)
        what = self.network.learned.detach() if self.schedule.learned == "weights" else self.network.mask
        return {"what": what.cpu().clone(), "mean": mean.clone(), "var": var.clone()}

    def tickets(self) -> tuple[Ticket, Ticket]:
        """The tickets of the best validation epoch at the final sparsity, and of the last epoch."""
        assert self.best is not None
        return self._ticket(self.best), self._ticket({"epoch": len(self.history), **self._stored()})

    def _ticket(self, stored: dict[str, Any]) -> Ticket:
        trained = self.schedule.learned == "weights"
        return Ticket(
            spec=self.spec.model_copy(update={"epoch": stored["epoch"]}),
            mask=None if trained else stored["what"],
            weights=stored["what"] if trained else None,
            batch_norm_mean=stored["mean"],
            batch_norm_var=stored["var"],
            roles=self.roles,
        )

    def state(self) -> dict[str, Any]:
        """Everything that the rest of the search depends on."""
        mean, var = batch_norm_statistics(self.network.module)
        return {
            "learned": self.network.learned.detach(),
            "velocity": self.optimizer.velocity,
            "batch_norm": [mean, var],
            "masks": [self.masks.seen, self.masks.before],
            "history": [asdict(epoch) for epoch in self.history],
            "seconds": self.seconds,
            "best": self.best,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Take over what `state` gave."""
        with torch.no_grad():
            self.network.learned.copy_(state["learned"])
            self.optimizer.velocity.copy_(state["velocity"])
        set_batch_norm_statistics(self.network.module, *(each.to(self.device) for each in state["batch_norm"]))
        self.masks.seen, self.masks.before = (each.to(self.device) for each in state["masks"])
        self.history = [Epoch(**epoch) for epoch in state["history"]]
        self.seconds, self.best = state["seconds"], state["best"]
        number, _ = self.schedule.at(len(self.history) - 1)
        self.network.select(self.keeps[number])
