"""Adam for a field in space and time of which each step sees a few times only.

The cells of those times move, and their averages of gradients; all other times rest. Adam on whole planes would go on
moving every cell along its last gradient until its frame comes again, many steps later.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

BETAS = (0.9, 0.99)
LAST_RATE = 0.02
TINY = 1e-8
LEAST_WEIGHT = 1e-3
"""A cell with less weight than this at all of a step's times rests."""


class TimedAdam:
    """Steps of a MovieField, and of whatever else is fitted along with it.

    Parameters
    ----------
    field : MovieField
    others : parameters that every step moves, at the rate of the layers
    plane_rate, network_rate : learning rates of the planes without time and of the layers, which every step moves
    time_rate : learning rate of the planes with time; each of their cells moves once in a pass over the movie
    """

    def __init__(self, field, others, plane_rate: float, network_rate: float, time_rate: float):
        *_, self.cells = field.cells
        self.timed, self.time_rate, self.factor = list(field.planes[3:]), time_rate, 1.0
        rates = ((list(field.planes[:3]), plane_rate), ([*field.weights, *field.biases, *others], network_rate))
        groups = [{"params": group, "lr": rate, "first_lr": rate} for group, rate in rates]
        self.always = torch.optim.Adam(groups, betas=BETAS, fused=True)
        self.first = [torch.zeros_like(plane) for plane in self.timed]
        self.second = [torch.zeros_like(plane) for plane in self.timed]
        self.visits = torch.zeros(self.cells, device=self.timed[0].device)

    def set_progress(self, progress: float) -> None:
        """The learning rates fall from 1 to LAST_RATE along a cosine."""
        self.factor = LAST_RATE + (1 - LAST_RATE) * 0.5 * (1 + math.cos(math.pi * progress))
        for group in self.always.param_groups:
            group["lr"] = group["first_lr"] * self.factor

    def descend(self, loss: Tensor, times: Tensor) -> None:
        """One step down a loss that depends on the field at some times (F,) in [-1, 1]."""
        self.always.zero_grad(set_to_none=True)
        for plane in self.timed:
            plane.grad = None
        loss.backward()
        self.always.step()
        self._step_timed(touched_cells(times, self.cells).to(self.visits.device))

    @torch.no_grad()
    def _step_timed(self, cells: Tensor) -> None:
        self.visits[cells] += 1
        decay_one, decay_two = (1 - beta ** self.visits[cells, None] for beta in BETAS)
        for plane, first, second in zip(self.timed, self.first, self.second, strict=True):
            gradient = plane.grad[:, cells]
            mean = first[:, cells].lerp_(gradient, 1 - BETAS[0])
            square = second[:, cells].lerp_(gradient.square(), 1 - BETAS[1])
            first[:, cells], second[:, cells] = mean, square
            step = (mean / decay_one) / ((square / decay_two).sqrt_() + TINY)
            plane[:, cells] -= self.time_rate * self.factor * step


def touched_cells(times: Tensor, cells: int) -> Tensor:
    """Cells that times (F,) in [-1, 1] are interpolated from, each once."""
    position = ((times.double() + 1) / 2 * (cells - 1)).clamp(0, cells - 1)
    near = position.floor()
    weight = position - near
    below, above = near[weight < 1 - LEAST_WEIGHT], near[weight > LEAST_WEIGHT] + 1
    return torch.cat((below, above)).long().unique()
