"""Optimisers, learning rates as functions of the epoch, and adaptive sharpness-aware minimisation."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator

import torch
from torch import nn

from cdipipe.networks.training_settings import TrainingSettings


def make_optimiser(parameters, settings: TrainingSettings) -> torch.optim.Optimizer:
    """Adam or AdamW over these parameters."""
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[settings.optimiser]
    return kind(parameters, lr=settings.learning_rate, weight_decay=settings.weight_decay)


def learning_rate(settings: TrainingSettings, epoch: float, epochs: int) -> float:
    """The rate at a moment of a stage.

    Parameters
    ----------
    epoch : epochs done since the stage began, with the fraction of the current one
    epochs : length of the stage

    References
    ----------
    Loshchilov, Hutter, SGDR: stochastic gradient descent with warm restarts, arXiv:1608.03983, eq. 5
    """
    low, high = settings.least_learning_rate, settings.learning_rate
    start, length = 0.0, float(epochs)
    if settings.schedule == "warm_restarts":
        length = settings.cycle_epochs
        while epoch >= start + length:
            start, length = start + length, length * settings.cycle_factor
    since = epoch - start
    if since < settings.warmup_epochs:  # a little above 0 at the first step
        return high * max(since / settings.warmup_epochs, 1e-3)
    if settings.schedule in ("cosine", "warm_restarts"):
        share = (since - settings.warmup_epochs) / max(length - settings.warmup_epochs, 1e-9)
        return low + (high - low) * (1 + math.cos(math.pi * min(share, 1.0))) / 2
    if settings.schedule == "step":
        return high * settings.step_factor ** sum(epoch >= drop for drop in settings.step_epochs)
    return high


@torch.no_grad()
def climb(named: list[tuple[str, nn.Parameter]], rho: float, eta: float) -> list[tuple[nn.Parameter, torch.Tensor]]:
    """Move the weights to the worst place nearby, w + rho T^2 g / |T g|; T = |w| + eta for weights, 1 for all others.

    Returns
    -------
    list of (parameter, value before), for :func:`descend`

    References
    ----------
    Kwon et al., ASAM: adaptive sharpness-aware minimization, arXiv:2102.11600, eqs. 7-8
    """
    moved = [(name, p) for name, p in named if p.grad is not None]
    scales = [p.abs() + eta if name.rpartition(".")[2] == "weight" else torch.ones_like(p) for name, p in moved]
    norm = torch.stack([(s * p.grad).square().sum() for s, (_, p) in zip(scales, moved, strict=True)]).sum().sqrt()
    before = []
    for scale, (_, parameter) in zip(scales, moved, strict=True):
        before.append((parameter, parameter.detach().clone()))
        parameter.add_(scale.square() * parameter.grad * (rho / norm.clamp(min=1e-16)))
    return before


@torch.no_grad()
def descend(before: list[tuple[nn.Parameter, torch.Tensor]]) -> None:
    """Undo :func:`climb`; the gradients stay."""
    for parameter, value in before:
        parameter.copy_(value)


@contextlib.contextmanager
def frozen_statistics(module: nn.Module) -> Iterator[None]:
    """Batch norms keep their running statistics: they have seen this batch before."""
    norms = batch_norms(module)
    momenta = [norm.momentum for norm in norms]
    try:
        for norm in norms:
            norm.momentum = 0.0
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum


def start_learning(module: nn.Module, keeps_statistics: bool) -> None:
    """Training mode; on request batch norms take the statistics that they have, as in use."""
    module.train()
    for norm in batch_norms(module) if keeps_statistics else ():
        norm.eval()


def batch_norms(module: nn.Module) -> list[nn.Module]:
    """The batch norms of a module."""
    return [m for m in module.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
