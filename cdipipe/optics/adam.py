"""Adam for complex arrays, as far as iterations need it; without torch's own, whose import takes seconds."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

MOMENTS = (0.9, 0.99)
LAST_RATE = 0.02
"""The learning rate falls to this share of its start along half a cosine."""


@dataclass
class Adam:
    """Moments of the gradients of a batch; each item goes its own way."""

    mean: Tensor
    square: Tensor
    taken: int = 0

    @classmethod
    def like(cls, exit_wave: Tensor) -> Adam:
        """For complex arrays of this shape."""
        real = torch.view_as_real(exit_wave)
        return cls(torch.zeros_like(real), torch.zeros_like(real))

    def step(self, gradient: Tensor) -> Tensor:
        """The direction of the next step, of modulus about 1 per pixel; complex."""
        first, second = MOMENTS
        gradient = torch.view_as_real(gradient)
        self.taken += 1
        self.mean.lerp_(gradient, 1 - first)
        self.square.mul_(second).addcmul_(gradient, gradient, value=1 - second)
        scale = (self.square / (1 - second**self.taken)).sqrt_().add_(1e-12)
        return torch.view_as_complex(self.mean / scale).div_(1 - first**self.taken)


def falling_rate(share: float) -> float:
    """Of the first learning rate, after a share of the iterations."""
    return LAST_RATE + (1 - LAST_RATE) * (1 + math.cos(math.pi * share)) / 2
