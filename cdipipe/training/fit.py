"""The training loop: stages, epochs, steps, on one or several processes through Lightning Fabric.

Every random number of a step is derived from (seed, stage, epoch, step, process), so that a training that was stopped
at any moment goes on from its last checkpoint with the same bits as one that never stopped (on a CPU or one GPU).
"""

from __future__ import annotations

import contextlib
import math
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from cdipipe.errors import InputError
from cdipipe.io.corpus.pairs import Pairs
from cdipipe.io.corpus.read import Corpus
from cdipipe.networks.checkpoint import Checkpoint
from cdipipe.networks.losses.noise import draw_noise
from cdipipe.networks.predictor import best_layout, usual_peaks
from cdipipe.networks.registry import Network, Stage
from cdipipe.networks.training_settings import TrainingSettings
from cdipipe.ops.repeatable import repeatable
from cdipipe.progress import progress
from cdipipe.training import memory, optimisers
from cdipipe.training.averaging import MovingAverage
from cdipipe.training.batches import CorpusBatches, FreshBatches, derived_seed, split_corpus
from cdipipe.training.first_weights import build_module, choose_parameters
from cdipipe.training.processes import Silent
from cdipipe.training.run_folder import RunFolder, code_of_training

LOOKED_AT = 512
"""Patterns from which a checkpoint learns what is usual."""


@dataclass
class Position:
    """Where a training is: what is to come next."""

    stage: int = 0
    epoch: int = 0
    """of the stage"""
    step: int = 0
    """of the epoch"""
    steps_done: int = 0
    samples_done: int = 0
    seconds: float = 0.0
    best_loss: float = math.inf
    loss_sum: float = 0.0
    """of the steps of this epoch"""


def fit(
    network: Network,
    settings: TrainingSettings,
    corpus: Corpus | Pairs,
    folder: Path,
    fabric,
    resume: Checkpoint | None = None,
    provenance: dict[str, Any] | None = None,
) -> float:
    """Train a network, or go on with it; returns the best validation loss of the last stage.

    Parameters
    ----------
    network : record of what is trained
    settings : of the training
    corpus : what is learned from
    folder : of the training, see ``RunFolder``
    fabric : from :func:`make_fabric`, launched
    resume : the last checkpoint of a training with the same settings
    provenance : goes into the checkpoints

    Raises
    ------
    InputError   the loss or its gradient is no longer a number; the last checkpoint stays
    """
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())), repeatable(fabric.device):
        torch.manual_seed(derived_seed(settings.seed, 0))
        training = _Training(network, settings, corpus, folder, fabric, resume, provenance or {})
        try:
            return training.run()
        finally:
            training.folder.close()


@dataclass
class _StageRun:
    """A stage under way, with the module as Fabric wraps it and the parameters that move."""

    index: int
    stage: Stage
    epochs: int
    named: list[tuple[str, torch.nn.Parameter]]
    wrapped: torch.nn.Module
    optimiser: torch.optim.Optimizer

    def set_rate(self, rate: float) -> float:
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        return rate


class _Training:
    """One training under way."""

    def __init__(self, network, settings, corpus, folder, fabric, resume, provenance):
        self.network, self.settings, self.corpus, self.fabric = network, settings, corpus, fabric
        self.provenance = provenance
        self.at = Position(**resume.training["position"]) if resume else Position()
        self.optimiser_state = resume.training["optimiser"] if resume else None
        self.module = resume.build() if resume else build_module(network, settings)
        self.module.to(fabric.device, memory_format=best_layout(self.module))
        self.average = MovingAverage(self.module, settings.average) if settings.average else None
        if self.average is not None and resume:
            self.average.load(resume.training["moving"])
        self.stages = network.stages(settings)
        samples, kept = split_corpus(corpus, settings.validation_share)
        where = (fabric.global_rank, fabric.world_size)
        if settings.samples == "fresh":
            self.batches = FreshBatches(corpus, network.arrays, settings, *where)
        else:
            self.batches = CorpusBatches(corpus, network.arrays, samples, settings, *where)
        self.validation = CorpusBatches(corpus, network.arrays, kept, settings, *where) if kept else None

        self.usual_peaks = self._look_at_samples()
        self.folder = RunFolder(Path(folder), list(resume.training["rows"]) if resume else [])

    def _look_at_samples(self) -> list[float] | None:
        """Whether a step fits into memory; what patterns look like, so that the network can tell when others do not."""
        generator, patterns = torch.Generator().manual_seed(derived_seed(self.settings.seed, 6)), []
        for number, arrays in enumerate(self.batches.read(0)):
            if number == 0:
                self._check_memory(arrays)
            if "intensity" not in self.network.arrays:
                return None
            seen = arrays["intensity"] * arrays["measured"]
            patterns.append(draw_noise(seen, self.settings.photons, self.settings.noise_share, generator))
            if sum(map(len, patterns)) >= LOOKED_AT:
                break
        return usual_peaks(torch.cat(patterns)) if patterns else None

    def _check_memory(self, arrays: dict[str, torch.Tensor]) -> None:
        """Raise InputError where a step of a stage that is to come does not fit into memory."""
        size = len(next(iter(arrays.values())))
        few = {name: array[: memory.LOOKED_AT] for name, array in arrays.items()}
        here = self.fabric.world_size // getattr(self.fabric.strategy, "num_nodes", 1)
        limit = self.fabric.broadcast(memory.limit_bytes(self.fabric.device))  # all processes decide alike
        for stage in self.stages[self.at.stage :]:
            choose_parameters(self.module.train(), stage)
            with self.fabric.autocast():
                loss = partial(stage.loss, self.module, self._prepare(few, 6), self.settings)
                each = size * (here if self.fabric.device.type == "cpu" else 1)
                memory.check_step(self.module, loss, min(size, memory.LOOKED_AT), each, limit, self.network.name)

    def run(self) -> float:
        if self.fabric.is_global_zero:
            self.folder.begin(self.settings)
        for index in range(self.at.stage, len(self.stages)):
            self._run_stage(index, self.stages[index])
        return self.at.best_loss

    def _run_stage(self, index: int, stage: Stage) -> None:
        now = self._begin_stage(index, stage)
        per_epoch = self.batches.steps(self.at.epoch)
        if per_epoch == 0:
            raise InputError(
                f"{self.corpus.folder}: fewer chunks than processes; make the corpus with a smaller --chunk"
            )
        total = per_epoch * (now.epochs - self.at.epoch) - self.at.step
        with self._progress(total, f"train {self.network.name}, {stage.name}") as bar:
            for epoch in range(self.at.epoch, now.epochs):
                self._run_epoch(now, epoch, bar)
        self.at = Position(**{**vars(self.at), "stage": index + 1, "epoch": 0})
        if index + 1 < len(self.stages):
            self.at.best_loss = math.inf  # losses of different stages are not of one kind
            self._save(None, best=False)

    def _begin_stage(self, index: int, stage: Stage) -> _StageRun:
        named = choose_parameters(self.module, stage)
        optimiser = optimisers.make_optimiser([p for _, p in named], self.settings)
        if self.optimiser_state is not None:
            optimiser.load_state_dict(self.optimiser_state)
            self.optimiser_state = None
        wrapped, optimiser = self.fabric.setup(self.module, optimiser)
        return _StageRun(index, stage, stage.epochs or self.settings.epochs, named, wrapped, optimiser)

    def _progress(self, total: int, text: str):
        return progress(total, text) if self.fabric.is_global_zero else Silent(range(total), total, text)

    def _run_epoch(self, now: _StageRun, epoch: int, bar) -> None:
        began, seconds, rate = time.perf_counter(), self.at.seconds, 0.0
        steps, every = self.batches.steps(epoch), self.settings.checkpoint_steps
        optimisers.start_learning(self.module, self.settings.keeps_statistics)
        for step, arrays in enumerate(self.batches.read(epoch, self.at.step), self.at.step):
            rate = now.set_rate(optimisers.learning_rate(self.settings, epoch + step / steps, now.epochs))
            batch = self._prepare(arrays, 3, now.index, epoch, step)
            place = (now.index, epoch, step, self.fabric.global_rank)
            torch.manual_seed(derived_seed(self.settings.seed, 4, *place))
            loss = self._step(now, batch, f"epoch {epoch + 1}, step {step + 1}")
            self.at.step, self.at.loss_sum = step + 1, self.at.loss_sum + loss
            self.at.steps_done += 1
            if self.average is not None:
                self.average.follow(self.at.steps_done)
            self.at.samples_done += len(batch["inputs"]) * self.fabric.world_size
            self.at.seconds = seconds + time.perf_counter() - began
            bar.update(1, note=f"epoch {epoch + 1}, loss {self.at.loss_sum / self.at.step:.4g}")
            if every and self.at.step % every == 0 and self.at.step < steps:
                self._save(now.optimiser, best=False)
        self._finish_epoch(now, epoch, rate)

    def _finish_epoch(self, now: _StageRun, epoch: int, rate: float) -> None:
        """Validate, write a line of the curve and the checkpoints."""
        began, at = time.perf_counter(), self.at
        # all processes have the same number of steps, so the mean of their means is that of all samples
        train_loss = float(self.fabric.all_reduce(torch.tensor(at.loss_sum / at.step), reduce_op="mean"))
        with self._averaged():
            scores = self._validate(now.stage)
        loss = scores.get("loss", train_loss)
        best = loss < at.best_loss
        at.best_loss, at.epoch, at.step, at.loss_sum = min(loss, at.best_loss), epoch + 1, 0, 0.0
        at.seconds += time.perf_counter() - began
        row = {"stage": now.stage.name, "epoch": epoch + 1, "step": at.steps_done, "samples": at.samples_done}
        row |= {"seconds": round(at.seconds, 1), "learning_rate": rate, "train_loss": train_loss}
        row |= {f"validation_{name}": value for name, value in scores.items()}
        if self.fabric.is_global_zero:
            self.folder.add_row(row)
        self._save(now.optimiser, best)

    def _step(self, now: _StageRun, batch: dict[str, torch.Tensor], where: str) -> float:
        """One step of the optimiser; the loss before it."""
        settings = self.settings
        now.optimiser.zero_grad(set_to_none=True)
        loss, _ = now.stage.loss(now.wrapped, batch, settings)
        self._backward(now, loss, where)
        if settings.asam_rho:
            before = optimisers.climb(now.named, settings.asam_rho, settings.asam_eta)
            now.optimiser.zero_grad(set_to_none=True)
            with optimisers.frozen_statistics(self.module):
                worst, _ = now.stage.loss(now.wrapped, batch, settings)
            self._backward(now, worst, where)
            optimisers.descend(before)
        now.optimiser.step()
        return float(loss.detach())

    def _backward(self, now: _StageRun, loss: torch.Tensor, where: str) -> None:
        """Gradients, clipped. Their norm is the same in all processes, so all of them stop at the same step."""
        self.fabric.backward(loss)
        limit = self.settings.clip_norm or math.inf
        norm = torch.nn.utils.clip_grad_norm_([p for _, p in now.named], limit)
        if not bool(torch.isfinite(norm)):
            raise InputError(
                f"the loss is not a number any more in {where} (loss {float(loss.detach()):g}, gradient "
                f"{float(norm):g}); {self.folder.folder} keeps the checkpoint before; try a lower learning_rate or "
                "clip_norm=1"
            )

    def _prepare(self, arrays: dict[str, torch.Tensor], *place: int) -> dict[str, torch.Tensor]:
        """A batch on the device with its own generator."""
        device = self.fabric.device
        generator = torch.Generator(device)
        generator.manual_seed(derived_seed(self.settings.seed, *place, self.fabric.global_rank))
        moved = {name: array.to(device, non_blocking=True) for name, array in arrays.items() if name != "index"}
        return self.network.prepare(moved, self.settings, generator)

    @torch.no_grad()
    def _validate(self, stage: Stage) -> dict[str, float]:
        """Means of loss and terms over the validation samples, all processes together."""
        if self.validation is None:
            return {}
        self.module.eval()
        sums, steps = {}, 0
        for step, arrays in enumerate(self.validation.read(0)):
            batch = self._prepare(arrays, 5, step)
            with self.fabric.autocast():
                loss, terms = stage.loss(self.module, batch, self.settings)
            for name, value in {"loss": loss, **terms}.items():
                sums[name] = sums.get(name, 0.0) + float(value)
            steps += 1
        values = torch.tensor([sums[name] / steps for name in sums]) if steps else torch.zeros(0)
        means = self.fabric.all_reduce(values, reduce_op="mean")
        return dict(zip(sums, means.tolist(), strict=True))

    def _averaged(self) -> contextlib.AbstractContextManager:
        """The average of the weights in place of those in training, where there is one."""
        return contextlib.nullcontext() if self.average is None else self.average.in_place()

    def _save(self, optimiser, best: bool) -> None:
        if not self.fabric.is_global_zero:
            return
        at, plan = self.at, self.corpus.plan
        resume = {
            "position": vars(at),
            "optimiser": None if optimiser is None else optimiser.state_dict(),
            "rows": self.folder.rows,
            "code": code_of_training(self.network.name, self.corpus.scene),
        }
        if self.average is not None:
            resume["moving"] = {name: p.detach().cpu().clone() for name, p in self.module.named_parameters()}
        scores = {
            "steps": at.steps_done,
            "samples": at.samples_done,
            "seconds": at.seconds,
            "best_loss": at.best_loss,
            "peak_over_mean": self.usual_peaks,
        }
        corpus = {"kind": plan.kind, "digest": self.corpus.card["digest"], "count": plan.count}
        with self._averaged():
            weights = self.module.state_dict()
            checkpoint = Checkpoint(self.network, self.settings, weights, corpus, scores, self.provenance, resume)
            self.folder.save(checkpoint, best)
