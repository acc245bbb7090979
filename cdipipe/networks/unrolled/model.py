"""The module: a few iterations of HIO, a look of a network at what they made, and again, with the same weights.

The object lives in a box, the rest of the grid is empty. A step is

    x = HIO^m(estimate; support),    (estimate, support) = network(x, P x, estimate, noise level)

with the modulus projection P. The first support is the whole box. A network that sees a half-converged object tells its
outline, and HIO inside the right outline converges at once: so few steps are enough. No gradient goes through HIO: each
step learns from its own estimate, on the states that the steps before it lead to. After the training the estimate of a
real object has no negative values. The unit of all is the object's root mean square.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cdipipe.networks.layers.ordered import Halving3d
from cdipipe.networks.unrolled.physics import Modulus, hio_step

NOISE_OF_MODULUS = 0.5
"""Standard deviation of the square root of a Poisson count."""
LEVELS = -1.5, 1.0
"""Typical decimal logarithm of the noise in an object's pixel, and how far it spreads: to about -1 to 1."""


TOLD = 4.0
"""Logit of a support that is given."""


class Look(nn.Module):
    """Small encoder and decoder with skips from ``inputs`` to ``outputs`` channels, a halving per further width."""

    def __init__(self, dimensions: int, inputs: int, outputs: int, widths: tuple[int, ...]):
        super().__init__()
        self.kind = nn.Conv2d if dimensions == 2 else nn.Conv3d
        self.pool = nn.AvgPool2d(2) if dimensions == 2 else Halving3d()
        channels, down, up = inputs, [], []
        for width in widths:
            down.append(nn.Sequential(*self._convolution(channels, width), *self._convolution(width, width)))
            channels = width
        for width in reversed(widths[:-1]):
            up.append(nn.Sequential(*self._convolution(channels + width, width), *self._convolution(width, width)))
            channels = width
        self.down, self.up, self.last = nn.ModuleList(down), nn.ModuleList(up), self.kind(channels, outputs, 1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def _convolution(self, inputs: int, outputs: int) -> list[nn.Module]:
        layer = self.kind(inputs, outputs, 3, padding=1)
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        nn.init.zeros_(layer.bias)
        return [layer, nn.ReLU()]

    def forward(self, x: Tensor) -> Tensor:
        finer: list[Tensor] = []
        for index, level in enumerate(self.down):
            x = level(self.pool(x) if index else x)
            finer.append(x)
        finer.pop()
        for level in self.up:
            x = level(torch.cat([nn.functional.interpolate(x, scale_factor=2), finer.pop()], 1))
        return self.last(x)


class Unrolled(nn.Module):
    """The whole network.

    Parameters
    ----------
    dimensions, real, size, box_px, steps, start_iterations, iterations, feedback, widths : as in ``UnrolledNetwork``
    """

    def __init__(
        self,
        dimensions: int = 2,
        real: bool = True,
        size: int = 128,
        box_px: int = 32,
        steps: int = 6,
        start_iterations: int = 30,
        iterations: int = 15,
        feedback: float = 0.9,
        widths: tuple[int, ...] = (24, 48, 48),
    ):
        super().__init__()
        self.dimensions, self.real, self.size, self.box_px = dimensions, real, size, box_px
        self.steps, self.start_iterations, self.iterations = steps, start_iterations, iterations
        self.feedback, self.parts = feedback, 1 if real else 2
        self.look = Look(dimensions, 3 * self.parts + 2, self.parts + 1, widths)

    def forward(
        self,
        intensity: Tensor,
        measured: Tensor,
        start: Tensor,
        steps: int | None = None,
        support: Tensor | None = None,
    ):
        """Photons to an object, step by step.

        Parameters
        ----------
        intensity : (B, *grid) float, photons, zero frequency centred; negative and masked values count as 0
        measured : (B, *grid) bool
        start : (B, *box) float or complex, see ``draw_start`` in ``loss``
        steps : instead of as many as it was built with
        support : (B, *box) bool, to begin with; None: the whole box

        Returns
        -------
        estimates : (steps, B, *box) float or complex, on the scale of the photons
        supports : (steps, B, *box) float, logits: above 0 is inside
        """
        modulus = Modulus(intensity, measured, (self.box_px,) * self.dimensions, self.real)
        inside = torch.ones_like(start, dtype=torch.bool) if support is None else support
        with torch.no_grad():
            x = self._iterate(modulus, start * modulus.scale_of(start), inside, self.start_iterations)
            axes = tuple(range(1, x.ndim))
            projected = modulus.project(x)
            unit = self._positive(projected).abs().square().mean(axes, keepdim=True).sqrt().clamp(min=1e-12)
            x, modulus = x / unit, modulus.in_units(unit)
            level = (torch.log10(NOISE_OF_MODULUS / unit) - LEVELS[0]) / LEVELS[1]
            level = level.expand(x.shape)
            told = ~inside.flatten(1).all(1).reshape(-1, *[1] * self.dimensions)
            estimate = torch.where(told & inside, self._positive(projected / unit), 0)
            logits = torch.where(inside, TOLD, -TOLD) * told
        estimates, supports = [], []
        for step in range(steps or self.steps):
            with torch.no_grad():
                if step:
                    begin = torch.where(inside, self._positive(estimate), 0)
                    x = self._iterate(modulus, begin, inside, self.iterations)
                projected = modulus.project(x)
                seen = [*split(x), *split(projected), *split(estimate), torch.sigmoid(logits), level]
                features = torch.stack(seen, -1).movedim(-1, 1)  # channels last, whatever the layout before
            found = self.look(features).float()
            change, logits = found[:, : self.parts], found[:, self.parts]
            new = projected + (change[:, 0] if self.real else torch.complex(change[:, 0], change[:, 1]))
            estimates.append(new)
            supports.append(logits)
            estimate, logits = new.detach(), logits.detach()
            inside = inside_of(logits)
        result = torch.stack(estimates) * unit
        if not self.training:  # where a pixel that is cut would not learn
            result = self._positive(result)
        return result, torch.stack(supports)

    def _iterate(self, modulus: Modulus, x: Tensor, inside: Tensor, count: int) -> Tensor:
        for _ in range(count):
            x = hio_step(x, modulus.project(x), inside, self.feedback)
        return x

    def _positive(self, objects: Tensor) -> Tensor:
        return torch.relu(objects) if self.real else objects


def split(objects: Tensor) -> tuple[Tensor, ...]:
    """Real and imaginary part, or what is real already."""
    return (objects.real, objects.imag) if objects.is_complex() else (objects,)


def inside_of(logits: Tensor) -> Tensor:
    """(B, *box) bool; the whole box where nothing is inside."""
    inside = logits > 0
    return inside | ~inside.flatten(1).any(1).reshape(-1, *[1] * (logits.ndim - 1))
