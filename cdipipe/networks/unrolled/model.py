"""The module: a few iterations of GPS, a look of a network at what they made, and again, with the same weights.

The object lives in a box, the rest of the grid is empty. A step is

    x = GPS^m(estimate; support),    (estimate, support) = network(x, P P_S x, estimate, support, noise level)

with the projections P on the modulus and P_S on the support. The first support is the whole box, or half the
autocorrelation; on request the network tells the support alone, and the estimate is x. The steps together
are one run of GPS with the schedule of the DPR paper, where the looks stand in the place of shrink-wrap: a network that
sees a half-converged object tells its outline, and inside the right outline iterations converge at once. No gradient
goes through them: each step learns from its own estimate, on the states that the steps before it lead to. After the
training the estimate of a real object has no negative values. The unit of all is the object's root mean square.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cdipipe.networks.layers.ordered import Halving3d
from cdipipe.networks.unrolled.physics import Modulus, Smoothing, begin_hio, grown, half_autocorrelation, hio_

NOISE_OF_MODULUS = 0.5
"""Standard deviation of the square root of a Poisson count."""
LEVELS = -1.5, 1.0
"""Typical decimal logarithm of the noise in an object's pixel, and how far it spreads: to about -1 to 1."""
SOFTNESSES = (0.0, 0.01), (0.4, 0.1), (0.7, 1.0)
WIDTHS = tuple((stage / 10, 2 * (10 - stage) / 10) for stage in range(10))
"""Softness and filter width of GPS as in the DPR paper (Methods 4.5), each after the share at which it begins."""
LAST = 1.0, 0.2
"""Softness and filter width of GPS inside the support that was found."""
TOLD = 4.0
"""Logit of a support that is given."""
ROOM_PX = 2
"""By so much supports may grow beyond the first one."""
LEAST_CHANCE = 0.25
"""Of a pixel to lie in the object, for the support to hold it: a missing pixel does more harm than one too many."""


@dataclass(frozen=True)
class State:
    """What a step made.

    Parameters
    ----------
    estimate : (B, *box) float or complex, in units of ``unit``
    logits : (B, *box) float, of the support
    unit : (B, 1, ...) photons ** 0.5
    room : (B, *box) bool, beyond which no support reaches
    wave : (B, *grid) complex64 in photons ** 0.5, FFT order, the iterate of HIO; of GPS (B, 0)
    """

    estimate: Tensor
    logits: Tensor
    unit: Tensor
    room: Tensor
    wave: Tensor

    def inside(self) -> Tensor:
        """(B, *box) bool, the support."""
        return inside_of(self.logits) & self.room

    def where(self, better: Tensor, other: State) -> State:
        """Items of this state where ``better`` (B,) bool says so, of another one elsewhere."""
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return State(*(torch.where(better.reshape(-1, *[1] * (a.ndim - 1)), a, b) for a, b in pairs))


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
    dimensions, real, size, box_px, base, first_support, corrects, steps, start_iterations, iterations, widths
        As in ``UnrolledNetwork``.
    """

    def __init__(
        self,
        dimensions: int = 2,
        real: bool = True,
        size: int = 128,
        box_px: int = 32,
        base: str = "gps",
        first_support: str = "box",
        corrects: bool = True,
        steps: int = 7,
        start_iterations: int = 20,
        iterations: int = 12,
        widths: tuple[int, ...] = (16, 32, 64, 96),
    ):
        super().__init__()
        self.dimensions, self.real, self.size, self.box_px = dimensions, real, size, box_px
        self.base, self.first_support, self.corrects = base, first_support, corrects
        self.steps, self.start_iterations, self.iterations = steps, start_iterations, iterations
        self.parts = 1 if real else 2
        self.look = Look(dimensions, 3 * self.parts + 2, self.parts * corrects + 1, widths)

    def forward(
        self,
        intensity: Tensor,
        measured: Tensor,
        start: Tensor,
        steps: int | None = None,
        support: Tensor | None = None,
        room: Tensor | None = None,
    ):
        """Photons to an object, step by step.

        Parameters
        ----------
        intensity : (B, *grid) float, photons, zero frequency centred; negative and masked values count as 0
        measured : (B, *grid) bool
        start : (B, *box) float or complex, see ``draw_start`` in ``loss``
        steps : instead of as many as it was built with
        support : (B, *box) bool, to begin with; None: as ``first_support`` says
        room : (B, *box) bool, beyond which no support reaches; None: see ``room_of``

        Returns
        -------
        estimates : (steps, B, *box) float or complex, on the scale of the photons
        supports : (steps, B, *box) float, logits; ``inside_of`` tells what is inside
        """
        modulus = Modulus(intensity, measured, (self.box_px,) * self.dimensions, self.real)
        begin, *others = self.schedule(steps or self.steps)
        support = self.first_inside(intensity, measured) if support is None else support
        states = [self.begin(modulus, start, begin, support, room_of(support) if room is None else room)]
        for iterations in others:
            states.append(self.go_on(modulus, states[-1], iterations))
        result = torch.stack([state.estimate * state.unit for state in states])
        if not self.training and self.real:  # where a pixel that is cut would not learn
            result = torch.relu(result)
        return result, torch.stack([state.logits for state in states])

    def first_inside(self, intensity: Tensor, measured: Tensor) -> Tensor:
        """(B, *box) bool, the support before the first look."""
        box = (self.box_px,) * self.dimensions
        if self.first_support == "autocorrelation":
            return half_autocorrelation(intensity, measured, box)
        return torch.ones((len(intensity), *box), dtype=torch.bool, device=intensity.device)

    def begin(self, modulus: Modulus, start: Tensor, iterations: list, inside: Tensor, room: Tensor) -> State:
        """The first step; arguments as of ``forward``, its part of ``schedule``, and the first support."""
        with torch.no_grad():
            x = self._within(start * modulus.scale_of(start), inside)
            wave = begin_hio(modulus, x) if self.base == "hio" else x.new_zeros(len(x), 0)
            x = self._iterate(modulus, x, wave, inside, iterations)
            axes = tuple(range(1, x.ndim))
            unit = self._within(x, inside).abs().square().mean(axes, keepdim=True).sqrt().clamp(min=1e-12)
            told = ~inside.flatten(1).all(1).reshape(-1, *[1] * self.dimensions)
            estimate = self._within(x / unit, told & inside)
            logits = torch.where(inside, TOLD, -TOLD) * told
        return self._look(modulus.in_units(unit), x / unit, inside, State(estimate, logits, unit, room, wave))

    def go_on(self, modulus: Modulus, state: State, iterations: list) -> State:
        """A further step from what the one before made."""
        with torch.no_grad():
            estimate, logits, wave = state.estimate.detach(), state.logits.detach(), state.wave.clone()
            before = State(estimate, logits, state.unit, state.room, wave)
            inside = before.inside()
            x = self._within(estimate * state.unit, inside)
            x = self._iterate(modulus, x, wave, inside, iterations) / state.unit
        return self._look(modulus.in_units(state.unit), x, inside, before)

    def _iterate(self, modulus: Modulus, x: Tensor, wave: Tensor, inside: Tensor, iterations: list) -> Tensor:
        """GPS from an object, or HIO that goes on with its iterate, in place."""
        if self.base == "hio":
            return hio_(modulus, wave, inside, len(iterations))
        return smooth(modulus, x, inside, iterations)

    def _look(self, modulus: Modulus, x: Tensor, inside: Tensor, before: State) -> State:
        with torch.no_grad():
            level = (torch.log10(NOISE_OF_MODULUS / before.unit) - LEVELS[0]) / LEVELS[1]
            projected, chance = modulus.project(self._within(x, inside)), torch.sigmoid(before.logits)
            objects = (x, projected, before.estimate)
            if not self.corrects:  # a support has no phase: the network need not see the one that no pattern tells
                turn = mean_phase(projected).conj()
                objects = tuple(array * turn for array in objects)
            seen = [*itertools.chain(*map(split, objects)), chance, level.expand(chance.shape)]
            features = torch.stack(seen, -1).movedim(-1, 1)  # channels last, whatever the layout before
        found = self.look(features).float()
        if self.corrects:
            change = found[:, : self.parts]
            x = x + (change[:, 0] if self.real else torch.complex(change[:, 0], change[:, 1]))
        return State(x, found[:, -1], before.unit, before.room, before.wave)

    def logits_of(self, modulus: Modulus, objects: Tensor, inside: Tensor) -> Tensor:
        """(B, *box) float: of the support that the network tells from objects inside a support, (B, *box)."""
        axes = tuple(range(1, objects.ndim))
        unit = objects.abs().square().mean(axes, keepdim=True).sqrt().clamp(min=1e-12)
        told = torch.where(inside, TOLD, -TOLD)
        before = State(objects / unit, told, unit, inside, objects.new_zeros(len(objects), 0))
        return self._look(modulus.in_units(unit), objects / unit, inside, before).logits

    def schedule(self, steps: int) -> list[list[tuple[float, float]]]:
        """Softness and filter width of every iteration, step by step; further steps go on with the last ones."""
        total = self.start_iterations + (self.steps - 1) * self.iterations
        each = [(value_at(SOFTNESSES, i, total), value_at(WIDTHS, i, total)) for i in range(max(total, 1))]
        each += [each[-1]] * (self.iterations * steps)
        begins = [0, *(self.start_iterations + step * self.iterations for step in range(steps))]
        return [each[begin:end] for begin, end in itertools.pairwise(begins)]

    def _within(self, objects: Tensor, inside: Tensor) -> Tensor:
        return torch.where(inside, torch.relu(objects) if self.real else objects, 0)


def value_at(values: tuple[tuple[float, float], ...], iteration: int, total: int) -> float:
    """Of (share of the iterations at which it begins, value) the value at an iteration."""
    return [value for begin, value in values if round(begin * total) <= iteration][-1]


def smooth(modulus: Modulus, objects: Tensor, inside: Tensor, iterations: list[tuple[float, float]]) -> Tensor:
    """What GPS makes of objects inside a support, (B, *box); ``iterations`` are softness and filter width of each."""
    run = Smoothing(modulus, objects)
    for values, group in itertools.groupby(iterations):
        run.run(inside, len(list(group)), *values)
    return run.objects()


def mean_phase(objects: Tensor) -> Tensor:
    """exp(i phi) of sum u |u|, (B, 1, ...): no pattern tells it, the network sees objects without; 1 of real ones."""
    mean = (objects * objects.abs()).sum(tuple(range(1, objects.ndim)), keepdim=True)
    return torch.sgn(mean) if objects.is_complex() else torch.ones_like(mean)


def split(objects: Tensor) -> tuple[Tensor, ...]:
    """Real and imaginary part, or what is real already."""
    return (objects.real, objects.imag) if objects.is_complex() else (objects,)


def room_of(support: Tensor) -> Tensor:
    """(B, *box) bool: what a later support may hold, where the first one holds the object but for its rim."""
    return grown(support, ROOM_PX)


def inside_of(logits: Tensor) -> Tensor:
    """(B, *box) bool: where the chance is at least ``LEAST_CHANCE``; the whole box where that is nowhere."""
    inside = logits > math.log(LEAST_CHANCE / (1 - LEAST_CHANCE))
    return inside | ~inside.flatten(1).any(1).reshape(-1, *[1] * (logits.ndim - 1))
