"""The training loop: one cell from its source network to its tickets, going on where it was stopped."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from slt_bench.compute.precision import precision, wants_compiling
from slt_bench.compute.threads import threads_that_pay
from slt_bench.compute.world import ALONE, World
from slt_bench.data.loader import Loader
from slt_bench.data.manifest import Manifest
from slt_bench.experiment.cell import Cell
from slt_bench.networks.registry import batch_norm_statistics
from slt_bench.records.history import QUANTILES, Epoch
from slt_bench.records.provenance import session
from slt_bench.search.checkpoint import Checkpoint, check_agreement
from slt_bench.search.epoch_progress import EpochProgress
from slt_bench.search.interrupts import Interrupts
from slt_bench.search.methods.contract import Method, is_replayable
from slt_bench.search.metrics import Metrics, measure
from slt_bench.search.schedules import Position, Schedule, learning_rate
from slt_bench.search.search_log import SearchLog
from slt_bench.search.snapshot import Snapshot
from slt_bench.search.start import check_batches, make_spec, roles_of
from slt_bench.search.steps.gradient import BatchGradient
from slt_bench.search.steps.mask_statistics import MaskStatistics, magnitude_quantiles
from slt_bench.search.steps.microbatch import MicrobatchStatistics
from slt_bench.search.steps.optimizer import Sgd
from slt_bench.search.steps.replay import Replay
from slt_bench.search.steps.settling import gather_statistics
from slt_bench.search.steps.step import Step
from slt_bench.search.waiting import Waiting
from slt_bench.ticket.masked_network import MaskedNetwork
from slt_bench.ticket.ticket import Ticket
from slt_bench.ticket.top_k import Diverged


class Trainer:
    """One search under way: its parts, and how it moves on by an epoch."""

    def __init__(
        self, cell: Cell, manifest: Manifest, train: Loader, val: Loader | None, device: torch.device, world: World = ALONE,
        graphs: bool = True,
    ) -> None:  # fmt: skip
        """Build the source network and everything that the search learns and records.

        Args:
            cell: the experiment.
            manifest: of the dataset: classes and image size.
            train: batches of the training images, this process's share.
            val: batches of the validation images; None where all images are trained on.
            device: where the network lives; the source network is drawn on the CPU in any case.
            world: the processes that do this search together.
            graphs: whether steps on a GPU are recorded as CUDA graphs, where the algorithm allows it and one process searches.

        Raises:
            BenchError: no whole batch, a batch that the processes cannot share, unusable images, or no parent ticket.
            Diverged: the parent's search diverged.
        """
        check_batches(cell, train, world)
        self.cell, self.train_loader, self.val_loader, self.device, self.world = cell, train, val, device, world
        recipe, search = cell.recipe, cell.search
        self.schedule = Schedule(cell.phases)
        self.spec = make_spec(cell, manifest)
        self.roles = roles_of(cell)
        module, source = self.spec.build(self.roles)
        self.microbatches = MicrobatchStatistics(module, recipe.shards, world, device)
        self.network = MaskedNetwork(
            module, source.to(device), recipe.scale, precision(recipe, device), wants_compiling(recipe, device),
            with_gradient=search.learns != "nothing",
        )  # fmt: skip
        self.method: Method[Any] = search.algorithm(search, self.network, cell.phases, recipe, cell.seed)
        self.optimizer = Sgd(self.method.learned, recipe.momentum, recipe.weight_decay)
        self.gradient = BatchGradient(self.network, self.method, self.microbatches, world, recipe.label_smoothing)
        self.masks = MaskStatistics(self.network.mask.numel(), device)
        self.step = Step(self.method, self.gradient, self.optimizer, self.masks)
        self.do_step: Step | Replay = self.step
        if device.type == "cuda":
            self.do_step = Replay(self.step, graphs and world.size == 1 and is_replayable(self.method))
        self.waiting = Waiting(train.workers)
        self.log = SearchLog()
        self.best: Snapshot | None = None  # of the best validation epoch so far at the final sparsity
        self.under_way: EpochProgress | None = None

    def run(
        self,
        checkpoint: Checkpoint,
        interrupts: Interrupts,
        after_step: Callable[[], object],
        after_epoch: Callable[[Trainer], None],
    ) -> None:
        """Run what is left of the schedule; the state is saved after every epoch and when `interrupts` asks for it.

        Args:
            checkpoint: where the state is saved, and may be from an earlier session.
            interrupts: asked after every step, batch of validation and epoch.
            after_step: called after every step.
            after_epoch: called after every epoch, whose state is saved by then.

        Raises:
            Stop: `interrupts` said so; the state is saved.
            Diverged: a score or the loss is NaN or infinite.
            BenchError: the saved state is unusable, or differs between processes.
        """
        if (state := checkpoint.load()) is not None:
            self.load(state)
        steps_done = self.under_way.steps_done if self.under_way else 0
        check_agreement(self.method.learned, self.log.epochs, steps_done, self.world)
        interrupts.save = lambda: checkpoint.save(self.state(), self.world.first)
        with threads_that_pay(self.network.source.size, self.cell.recipe.batch_size // self.microbatches.count):
            self.log.sessions.append(session())
            while self.log.epochs < self.schedule.epochs:
                self._run_epoch(self.schedule.at(self.log.epochs), interrupts, after_step)
                interrupts.save()
                after_epoch(self)
                interrupts.after_epoch()

    def tickets(self) -> tuple[Ticket, Ticket]:
        """Make the tickets of the best validation epoch at the final sparsity, and of the last epoch."""
        assert self.best is not None
        return self.best.ticket(self.spec, self.roles), self._snapshot(None).ticket(self.spec, self.roles)

    def state(self) -> dict[str, Any]:
        """Give everything that the rest of the search depends on, the same in every process."""
        return {
            "method": self.method.state(),
            "optimizer": self.optimizer.state(),
            "microbatches": self.microbatches.state(),
            "masks": self.masks.state(),
            "log": self.log.state(),
            "best": self.best.state() if self.best else None,
            "under_way": self.under_way.state(self.world) if self.under_way else None,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Take over what `state` gave, with any world size."""
        self.method.load(state["method"])
        self.optimizer.load(state["optimizer"])
        self.microbatches.load(state["microbatches"])
        self.masks.load(state["masks"])
        self.log.load(state["log"])
        self.best = Snapshot.load(state["best"]) if state["best"] else None
        under_way = state["under_way"]
        self.under_way = EpochProgress.resume(under_way, self.world, self.device) if under_way else None
        phase = self.schedule.at(self.log.epochs - (0 if under_way else 1)).phase_number
        self.method.compose(phase)
        if not under_way:
            self.method.settle(phase)  # as after the epoch: it may have been the last

    def _run_epoch(self, position: Position, interrupts: Interrupts, after_step: Callable[[], object]) -> None:
        """Train one epoch, or what is left of it, validate, and keep a snapshot if it is the best so far."""
        if self.under_way is None:
            if not position.phase_epoch:
                self.method.begin_phase(position.phase, position.phase_number, self.optimizer)
            self.under_way = EpochProgress.begin(len(self.train_loader), self.microbatches.count, self.device)
        progress = self.under_way
        loss, correct = self._train(progress, position, interrupts, after_step)
        self.microbatches.merge()
        if self.method.settle(position.phase_number):
            self.masks.see(self.network.mask)  # a ticket may have edges that were in no step's mask
            gather_statistics(self.network, self.microbatches, self.train_loader, position.epoch)
        _check_finite(position, "a batch norm's statistics are", *batch_norm_statistics(self.network.module))
        metrics = None
        if self.val_loader is not None:
            classes = len(self.spec.classes)
            (metrics,) = measure([self.network], self.val_loader, classes, self.world, interrupts.between_batches)
            _check_finite(position, "the validation loss is", torch.tensor(metrics.loss))
        self.log.add(self._history_line(position, loss, correct, metrics), progress.seconds)
        if self.schedule.is_last_phase(position.phase_number):
            top1 = None if metrics is None else metrics.top1
            if self.best is None or top1 is None or self.best.val_top1 is None or top1 > self.best.val_top1:
                self.best = self._snapshot(top1)
        self.under_way = None

    def _train(
        self, progress: EpochProgress, position: Position, interrupts: Interrupts, after_step: Callable[[], object]
    ) -> tuple[float, int]:
        """Train on the images that are left of an epoch; returns the mean loss of the epoch and its number of hits."""
        recipe, epoch, steps, phase = self.cell.recipe, position.epoch, progress.steps, position.phase_number
        self.network.train()
        with _saying_where(position, progress):
            self.step.compose(phase)
            if not epoch and not progress.steps_done:
                is_another = self.method.settle(phase)
                self.masks.churn(self.network.mask)  # later ones are of settled masks too
                if is_another:
                    self.step.compose(phase)
        for images, labels in self.waiting.watch(self.train_loader.epoch(epoch, progress.steps_done)):
            done = progress.steps_done
            rate = learning_rate(recipe, position.phase, position.phase_epoch * steps + done, steps)
            with _saying_where(position, progress):
                self.do_step(images, labels, phase, epoch * steps + done + 1, rate)
            progress.add(self.microbatches.local, self.gradient.losses, self.gradient.correct)
            after_step()
            interrupts.after_step(progress.steps_done)
        loss, correct = progress.totals(self.world)
        if not math.isfinite(loss):
            raise Diverged(f"epoch {epoch + 1}: the loss became {loss}")
        # A GPU's selection has not looked.
        _check_finite(position, f"a {self.cell.search.learns.removesuffix('s')} is", self.method.learned)
        return loss, correct

    def _history_line(self, position: Position, loss: float, correct: int, metrics: Metrics | None) -> Epoch:
        """Put the history's line of a finished epoch together; the churn of masks counts from this call on."""
        recipe, steps = self.cell.recipe, len(self.train_loader)
        return Epoch(
            epoch=position.epoch + 1,
            sparsity=position.phase.sparsity,
            learning_rate=learning_rate(recipe, position.phase, position.phase_epoch * steps, steps),
            train_loss=loss,
            train_top1=100 * correct / (steps * recipe.batch_size),
            val_loss=None if metrics is None else metrics.loss,
            val_top1=None if metrics is None else metrics.top1,
            kept=self.network.counts().kept,
            dying_edge_ratio=self.masks.dying_edge_ratio,
            mask_churn=self.masks.churn(self.network.mask),
            score_quantiles=magnitude_quantiles(self.method.learned, QUANTILES),
            layer_density=[counts.density for counts in self.network.layer_counts()],
        )

    def _snapshot(self, val_top1: float | None) -> Snapshot:
        """Copy the subnetwork of now, after the last finished epoch."""
        return Snapshot.take(self.log.epochs, val_top1, self.method.found(), self.network.module)


def _check_finite(position: Position, what: str, *values: Tensor) -> None:
    """Raise `Diverged` where a value is NaN or infinite; `what` is the message, up to its verb."""
    if not all(bool(each.isfinite().all()) for each in values):
        raise Diverged(f"epoch {position.epoch + 1}: {what} NaN or infinite")


@contextmanager
def _saying_where(position: Position, progress: EpochProgress) -> Iterator[None]:
    """Let the message of a divergence begin with the step."""
    try:
        yield
    except Diverged as error:
        raise Diverged(f"epoch {position.epoch + 1}, step {progress.steps_done + 1}: {error}") from error
