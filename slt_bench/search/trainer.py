"""The loop: one cell from its source network to its tickets, going on where it was stopped."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from slt_bench.common.errors import BenchError
from slt_bench.compute.precision import precision, wants_compiling
from slt_bench.compute.threads import threads_that_pay
from slt_bench.compute.world import ALONE, Processes
from slt_bench.data.loader import Loader
from slt_bench.data.manifest import Manifest
from slt_bench.experiment.cell import Cell
from slt_bench.records.history import QUANTILES, Epoch
from slt_bench.records.provenance import session
from slt_bench.search.checkpoint import Checkpoint
from slt_bench.search.epoch_progress import Pass
from slt_bench.search.interrupts import Pause
from slt_bench.search.mask_statistics import MaskStatistics, magnitude_quantiles
from slt_bench.search.metrics import measure
from slt_bench.search.microbatch import ShardStatistics, tree_sum
from slt_bench.search.optimizer import Sgd
from slt_bench.search.schedules import Phase, learning_rate, make_schedule
from slt_bench.search.start import begin_phase, initial_values, make_spec, roles_of
from slt_bench.search.state import check_agreement, load_state, state_of, stored_now
from slt_bench.ticket.masked_network import MaskedNetwork
from slt_bench.ticket.top_k import Diverged


class Fit:
    """The state of one search, and how it moves on by an epoch.

    Args:
        cell: what is to be done.
        manifest: of the dataset: classes and image size.
        train, val: loaders of the two splits; no val where all images are trained on.
        device: where the network lives; the source network is drawn on the CPU in any case.
        processes: those that do this together.
    """

    def __init__(
        self, cell: Cell, manifest: Manifest, train: Loader, val: Loader | None, device: torch.device,
        processes: Processes = ALONE,
    ) -> None:  # fmt: skip
        recipe = cell.recipe
        if not len(train):
            raise BenchError(f"batch_size {recipe.batch_size} exceeds the {train.images} training images")
        if recipe.shards % processes.count:
            raise BenchError(
                f"{processes.count} processes cannot share a batch of {recipe.shards} shards (recipe {cell.recipe_name})"
            )
        self.cell, self.train_loader, self.val_loader, self.device, self.processes = cell, train, val, device, processes
        self.schedule = make_schedule(cell.search, recipe, cell.source.prune_ratio, cell.sparsity)
        self.spec = make_spec(cell, manifest, self.schedule.learned)
        self.roles = roles_of(cell)
        module, source = self.spec.build(self.roles)
        self.shards = ShardStatistics(module, recipe.shards, processes, device)
        learned, start = self.schedule.learned, initial_values(source, cell, self.schedule.learned)
        self.network = MaskedNetwork(
            module, source.to(device), start.to(device), learned, recipe.scale, getattr(cell.search, "selection", "global"),
            precision(recipe, device), wants_compiling(recipe, device),
        )  # fmt: skip
        self.keeps: list[list[int]] = []  # of each phase
        for phase in self.schedule.phases:
            within = self.keeps[-1] if phase.inside_last_mask else None
            self.keeps.append(self.network.keep_for(phase.sparsity, within))
        self.optimizer = Sgd(self.network.learned, recipe.momentum, recipe.weight_decay)
        self.masks = MaskStatistics(self.network.learned.numel(), device)
        self.history: list[Epoch] = []
        self.seconds: list[float] = []
        self.under_way: Pass | None = None
        self.best: dict[str, Any] | None = None
        self.sessions: list[dict[str, Any]] = []  # whenever it was begun or gone on with

    def run(self, checkpoint: Checkpoint, after_epoch: Callable[[Fit], None], step: Callable[[], object], pause: Pause) -> None:
        """Do what is left of the schedule; `step` is called every step.

        The state is saved after every epoch and when `pause` asks for it.

        Raises:
            Stop: `pause` said so; the state is saved.
        """
        if (state := checkpoint.load()) is not None:
            load_state(self, state)
        check_agreement(self)
        pause.save = lambda: checkpoint.save(state_of(self), self.processes.first)
        with threads_that_pay(self.network.source.size, self.cell.recipe.batch_size // self.shards.count):
            self.sessions.append(session())
            while len(self.history) < self.schedule.epochs:
                self.run_epoch(len(self.history), step, pause)
                pause.save()
                after_epoch(self)
                pause.after_epoch()

    def run_epoch(self, epoch: int, step: Callable[[], object] = lambda: None, pause: Pause | None = None) -> None:
        """Train one epoch, or what is left of it, validate, and keep the ticket if it is the best so far."""
        pause = pause or Pause()
        number, inside = self.schedule.at(epoch)
        phase, keep = self.schedule.phases[number], self.keeps[number]
        if self.under_way is None:
            if not inside:
                begin_phase(self.network, self.optimizer, self.cell, phase, number)
            self.under_way = Pass.begin(len(self.train_loader), self.cell.recipe.shards, self.device)
        done = self.under_way
        loss, correct = self._train(done, epoch, phase, inside, keep, step, pause)
        self.shards.merge()
        found = None
        if self.val_loader is not None:
            (found,) = measure([self.network], self.val_loader, len(self.spec.classes), self.processes, pause.between_batches)
        steps = len(self.train_loader)
        self.history.append(
            Epoch(
                epoch=epoch + 1,
                sparsity=phase.sparsity,
                learning_rate=learning_rate(self.cell.recipe, phase, inside * steps, steps),
                train_loss=loss,
                train_top1=100 * correct / (steps * self.cell.recipe.batch_size),
                val_loss=found.loss if found else None,
                val_top1=found.top1 if found else None,
                kept=self.network.counts().kept,
                dying_edge_ratio=self.masks.dying_edge_ratio,
                mask_churn=self.masks.churn(self.network.mask),
                score_quantiles=magnitude_quantiles(self.network.learned, QUANTILES),
                layer_density=[count.density for count in self.network.layer_counts()],
            )
        )
        at_end = number == len(self.keeps) - 1  # two sparsities may keep as many edges
        if at_end and (self.best is None or found is None or found.top1 > self.best["val_top1"]):
            self.best = {"epoch": epoch + 1, "val_top1": found.top1 if found else None, **stored_now(self)}
        self.seconds.append(done.seconds)
        self.under_way = None

    def _train(
        self, done: Pass, epoch: int, phase: Phase, inside: int, keep: Sequence[int], step: Callable[[], object], pause: Pause
    ) -> tuple[float, int]:
        """One pass over the training images, or what is left of it; returns its mean loss and the number of hits."""
        network, recipe, steps = self.network.train(), self.cell.recipe, done.steps
        self._select(keep, epoch, done.step)
        if not epoch and not done.step:
            self.masks.churn(network.mask)
        for images, labels in self.train_loader.epoch(epoch, done.step):
            number = done.step
            gradient = self._gradient(done, epoch, images, labels)
            if gradient is not None:
                network.learned.grad = gradient
                self.optimizer.step(learning_rate(recipe, phase, inside * steps + number, steps))
                self._select(keep, epoch, number)
            done.step = number + 1
            step()
            pause.after_step(done.step)
        loss, correct = done.summed(self.processes)
        if not math.isfinite(loss):
            raise Diverged(f"epoch {epoch + 1}: the loss became {loss}")
        return loss, correct

    def _gradient(self, done: Pass, epoch: int, images: Tensor, labels: Tensor) -> Tensor | None:
        """The mean gradient of what is learned over the batch, of which these images are this process's part."""
        learns, shards = self.schedule.learned != "nothing", self.shards
        size = len(labels) // len(shards.mine)

        def of_shard(shard: int) -> Tensor:
            at = (shard - shards.mine.start) * size
            shards.enter(shard)
            with torch.set_grad_enabled(learns):
                logits = self.network(images[at : at + size])
                loss = cross_entropy(logits, labels[at : at + size], label_smoothing=self.cell.recipe.label_smoothing)
            shards.leave(shard)
            if not loss.is_cuda and not math.isfinite(loss.item()):  # on a GPU at the end: asking would make it wait
                raise Diverged(f"epoch {epoch + 1}, step {done.step + 1}: the loss is {loss.item()}")
            done.add(shard, loss.detach(), (logits.argmax(1) == labels[at : at + size]).sum())
            if learns:
                loss.backward()
                gradient, self.network.learned.grad = self.network.learned.grad, None
                assert gradient is not None
                return gradient
            return loss

        gradient = tree_sum(shards.mine, of_shard)
        if not learns:
            return None
        self.processes.add(gradient)
        return gradient.div_(shards.count) if shards.count > 1 else gradient

    def _select(self, keep: Sequence[int], epoch: int, number: int) -> None:
        try:
            self.masks.see(self.network.select(keep))
        except Diverged as error:
            raise Diverged(f"epoch {epoch + 1}, step {number + 1}: {error}") from error
