"""A moving average of the weights: smoother than the weights of any one step, and what is kept in the end."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import nn

FIRST_STEPS = 10
"""The average follows faster at first: after so many steps it still gives half of itself away at each."""

Weights = dict[str, torch.Tensor]


class MovingAverage:
    """Weights w that follow those in training, w <- d w + (1 - d) v after each step; d rises to ``keep``.

    Parameters
    ----------
    module : whose parameters are followed; buffers such as running statistics are taken as they are
    keep : share of the average that a step keeps, once it is under way
    """

    def __init__(self, module: nn.Module, keep: float):
        self.module, self.keep = module, keep
        self.weights: Weights = {name: p.detach().clone() for name, p in module.named_parameters()}

    @torch.no_grad()
    def follow(self, step: int) -> None:
        """Take in the weights after ``step`` steps."""
        keep = min(self.keep, step / (step + FIRST_STEPS))
        for name, parameter in self.module.named_parameters():
            self.weights[name].lerp_(parameter, 1 - keep)

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """The average instead of the weights in training, for as long as the block lasts."""
        training = {name: p.detach().clone() for name, p in self.module.named_parameters()}
        self.load(self.weights)
        try:
            yield
        finally:
            self.load(training)

    @torch.no_grad()
    def load(self, weights: Weights) -> None:
        """Put weights into the module."""
        for name, parameter in self.module.named_parameters():
            parameter.copy_(weights[name])
