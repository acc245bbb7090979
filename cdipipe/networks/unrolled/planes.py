"""Complex objects in planes: supports by the network, objects by GPS, and the likelihood of the counts judges them.

With few photons the object that fits best is not the right one: it fits the noise as well. So an object costs half the
Poisson deviance of the counts as they were measured, a price for each pixel of its support (after Akaike's criterion),
and the doubt of the network, which looks at the object once more: of one that is not right it cannot tell the outline.
As in a guided search the best objects are averaged with the very best one, and phased again; in the end the noise is
taken out by the likelihood and the total variation. Patterns whose misfit is more than counting noise leaves are
searched once more, from other starts.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from cdipipe.networks.unrolled.loss import draw_start, lay_targets
from cdipipe.networks.unrolled.model import LAST, State, Unrolled, inside_of, room_of, smooth
from cdipipe.networks.unrolled.physics import Modulus
from cdipipe.networks.unrolled.settings import UnrolledParameters
from cdipipe.optics.adam import Adam, falling_rate
from cdipipe.optics.grid import central_slices
from cdipipe.optics.misfits import poisson_deviance, poisson_slope
from cdipipe.optics.total_variation import periodic_variation

PRICE = 0.5
"""Of a pixel of the support, in units of the log-likelihood."""
DOUBT = 1.0
"""Weight of the entropy of the network's support, nats, beside the log-likelihood."""
UNSETTLED = 0.125
"""Weight of the log-likelihood at the screening, where it tells more of how far GPS has come than of the start."""
KEPT = 2
"""Of the starts on a pattern: so many go on after the screening."""
CLOSED = 2
"""Objects from which the noise is taken; the better one stays."""
TOGETHER_PIXELS = 2**17
"""Pixels of all starts on the patterns that go through together on a CPU: larger arrays are given back to the system
and asked for again at every step."""
SETTLING = ((1.0, 0.8),) * 10 + ((1.0, 0.6),) * 10 + ((1.0, 0.4),) * 10 + ((1.0, 0.2),) * 30
"""Softness and filter width of GPS for the averages."""
ROUNDS = 2
"""Searches of a pattern at most."""
UNSOLVED = 0.98
"""Misfit over that of drawn counts, above which a pattern is searched again; of a right object, which was fitted,
it is 0.84 to 0.97."""
DRAWS = 4
"""Of the counts, to tell what noise leaves."""
RATE = 0.03
"""First step of Adam per pixel, in units of the object's root mean square."""
TV_WEIGHT, TV_SMOOTHING = 1.0, 1e-3
"""In photons ** 0.5, and in units of the object's root mean square."""


@dataclass(frozen=True)
class Found:
    """Objects of a batch of patterns, N of each.

    Parameters
    ----------
    objects : (B, N, *box) complex
    inside : (B, N, *box) bool, the support in which each was phased
    told : (B, N, *box) bool, that which the network tells from it
    cost : (B, N) float64
    """

    objects: Tensor
    inside: Tensor
    told: Tensor
    cost: Tensor

    def best(self, count: int) -> Found:
        """The ``count`` of lowest cost of each pattern, best first."""
        order = self.cost.argsort(dim=1, stable=True)[:, :count]
        items = torch.arange(len(order), device=order.device)[:, None]
        return Found(*(array[items, order] for array in vars(self).values()))

    def join(self, other: Found) -> Found:
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return Found(*(torch.cat(pair, 1) for pair in pairs))

    def of(self, patterns: Tensor) -> Found:
        """Those of some patterns, (n,) indices."""
        return Found(*(array[patterns] for array in vars(self).values()))

    def put(self, patterns: Tensor, other: Found) -> Found:
        """The same with others at some patterns."""
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return Found(*(array.index_copy(0, patterns, new) for array, new in pairs))


def search(
    module: Unrolled, small: tuple[Tensor, Tensor], full: tuple[Tensor, Tensor], how: UnrolledParameters
) -> tuple[Tensor, Tensor]:
    """Object (B, *box) and support of each pattern; arguments as of ``Search``."""
    first = Search(module, small, full, how)
    found = first.run()
    for _ in range(1, ROUNDS):
        open_ = (unexplained(first.full, found.objects[:, 0]) > UNSOLVED).nonzero()[:, 0]
        if not len(open_):
            break
        again = Search(module, *([array[open_] for array in pair] for pair in (small, full)), how, first.generator)
        found = found.put(open_, found.of(open_).join(again.run()).best(1))
    return found.objects[:, 0], found.inside[:, 0]


class Search:
    """One search in a batch of patterns.

    Parameters
    ----------
    module : Unrolled
    small : (intensity, measured), each (B, *grid), on which the network and GPS work
    full : the same as they were measured, which judge
    how : ``starts``, ``start_seed``, ``screen_steps``, ``step_count``, ``second_starts``, ``children``, ``refine`` and
        ``finish`` are used, filled
    generator : of an earlier search, whose starts shall not come again
    """

    def __init__(
        self,
        module: Unrolled,
        small: tuple[Tensor, Tensor],
        full: tuple[Tensor, Tensor],
        how: UnrolledParameters,
        generator: torch.Generator | None = None,
    ):
        self.module, self.how, self.patterns = module, how, len(small[0])
        box = (module.box_px,) * module.dimensions
        self.small, self.full = (Modulus(*pair, box, module.real) for pair in (small, full))
        self.first = module.first_inside(*small)
        self.room = room_of(self.first)
        self.generator = generator or torch.Generator(small[0].device).manual_seed(how.start_seed)

    def run(self) -> Found:
        """The best object of each pattern."""
        found = self._second_starts(*self._supports())
        if self.how.children:
            found = found.join(self._children(found.best(self.how.children)))
        found = found.best(CLOSED if self.how.refine else 1)
        if self.how.refine:
            found = self._refined(found).best(1)
        return found

    def _supports(self) -> tuple[Tensor, Tensor]:
        """Objects and supports (B, KEPT, *box) of the best starts after all steps."""
        module, how, kept = self.module, self.how, min(KEPT, self.how.starts)
        schedule, screened = module.schedule(how.step_count), min(how.screen_steps, how.step_count)
        first, room = (array.repeat_interleave(how.starts, 0) for array in (self.first, self.room))
        small = self.small.repeated(how.starts)
        state = module.begin(small, self._draw(how.starts), schedule[0], first, room)
        for iterations in schedule[1:screened]:
            state = module.go_on(small, state, iterations)
        cost = self._cost(state.estimate * state.unit, state.inside(), state.logits, UNSETTLED)
        best = cost.argsort(dim=1, stable=True)[:, :kept]
        best = best + how.starts * torch.arange(self.patterns, device=best.device)[:, None]
        state = State(*(array[best.flatten()] for array in vars(state).values()))
        for iterations in schedule[screened:]:
            state = module.go_on(self.small.repeated(kept), state, iterations)
        return tuple(a.unflatten(0, (-1, kept)) for a in (state.estimate * state.unit, state.inside()))

    def _second_starts(self, objects: Tensor, inside: Tensor) -> Found:
        """What GPS makes in each support of the object that was found with it, and of new starts."""
        count, kept = max(1, self.how.second_starts), objects.shape[1]
        new = self._draw(kept * (count - 1)).reshape(self.patterns, kept, count - 1, *objects.shape[2:])
        starts = torch.cat([objects[:, :, None], new], 2)
        inside = inside[:, :, None].expand_as(starts)
        schedule = [*itertools.chain(*self.module.schedule(self.module.steps)), *[LAST] * self.how.finish]
        return self._phased(starts.flatten(1, 2), inside.flatten(1, 2), schedule)

    def _children(self, parents: Found) -> Found:
        """The best object, and the others averaged with it, phased again in the support that it tells of."""
        leader = parents.objects[:, :1].expand_as(parents.objects).flatten(0, 1)
        laid = lay_targets(parents.objects.flatten(0, 1), leader)
        laid = laid[(..., *central_slices(laid.shape[1:], leader.shape[1:]))]
        mixed = ((laid + leader) / 2).reshape(parents.objects.shape)
        return self._phased(mixed, parents.told[:, :1].expand_as(parents.told), SETTLING)

    def _phased(self, objects: Tensor, inside: Tensor, schedule: Sequence[tuple[float, float]]) -> Found:
        """GPS on (B, N, *box)."""
        count = objects.shape[1]
        objects, inside, small = objects.flatten(0, 1), inside.flatten(0, 1), self.small.repeated(count)
        objects = torch.where(inside, objects, 0)
        objects = torch.where(inside, smooth(small, objects * small.scale_of(objects), inside, schedule), 0)
        return self._looked_at(objects, inside, count)

    def _refined(self, found: Found) -> Found:
        """The same objects without noise."""
        count, inside = found.objects.shape[1], found.inside.flatten(0, 1)
        objects = descend(self.full.repeated(count), found.objects.flatten(0, 1), inside, self.how.refine)
        return self._looked_at(objects, inside, count)

    def _looked_at(self, objects: Tensor, inside: Tensor, count: int) -> Found:
        """What the network tells of objects (B * N, *box) and their supports, N = ``count`` of each pattern."""
        logits = self.module.logits_of(self.small.repeated(count), objects, inside)
        told = inside_of(logits) & self.room.repeat_interleave(count, 0)
        shaped = (array.unflatten(0, (-1, count)) for array in (objects, inside, told))
        return Found(*shaped, self._cost(objects, inside, logits))

    def _cost(self, objects: Tensor, inside: Tensor, logits: Tensor, weight: float = 1.0) -> Tensor:
        """(B, N) of N objects of each pattern, (B * N, *box)."""
        misfit = deviance(self.full.repeated(len(objects) // self.patterns), objects)
        cost = weight * misfit + PRICE * inside.flatten(1).sum(1) + DOUBT * entropy(logits)
        return cost.unflatten(0, (self.patterns, -1))

    def _draw(self, count: int) -> Tensor:
        """(B * count, *box): the same starts for all patterns."""
        starts = draw_start(self.module, count, self.generator)
        return starts.repeat(self.patterns, *[1] * self.module.dimensions)


def deviance(modulus: Modulus, objects: Tensor) -> Tensor:
    """(B,) float64, half the Poisson deviance of the counts."""
    predicted = modulus.forward(objects).abs().square()
    each = poisson_deviance(predicted, modulus.modulus.square()) * modulus.known
    return each.flatten(1).sum(1, dtype=torch.float64)


def unexplained(modulus: Modulus, objects: Tensor) -> Tensor:
    """(B,) the deviance over what counts have that are drawn from the objects (B, *box), each pattern's alike."""
    predicted = modulus.forward(objects).abs().square()
    of_noise = []
    for mean, known in zip(predicted, modulus.known, strict=True):
        generator = torch.Generator(mean.device).manual_seed(0)
        drawn = torch.poisson(mean.expand(DRAWS, *mean.shape), generator=generator)
        of_noise.append((poisson_deviance(mean, drawn) * known).sum(dtype=torch.float64) / DRAWS)
    return deviance(modulus, objects) / torch.stack(of_noise).clamp(min=1e-12)


def descend(modulus: Modulus, objects: Tensor, inside: Tensor, iterations: int) -> Tensor:
    """Objects (B, *box) after Adam steps that lower half the Poisson deviance and the total variation."""
    counts, axes = modulus.modulus.square(), tuple(range(1, objects.ndim))
    unit = objects.abs().square().sum(axes, keepdim=True) / inside.sum(axes, keepdim=True).clamp(min=1)
    unit = unit.sqrt().clamp(min=1e-12)
    objects = torch.where(inside, objects, 0)
    adam = Adam.like(objects)
    for iteration in range(iterations):
        wave = modulus.forward(objects)
        slope = poisson_slope(wave.abs().square(), counts) * modulus.known
        gradient = modulus.inverse(wave * slope) * 2
        gradient += TV_WEIGHT * periodic_variation(objects, len(axes), TV_SMOOTHING * unit)[1]
        step = adam.step(torch.where(inside, gradient, 0))
        objects = objects - RATE * falling_rate(iteration / iterations) * unit * step
    return objects


def entropy(logits: Tensor) -> Tensor:
    """(B,) nats: the network's doubt about a support, (B, *box) logits."""
    chance = torch.sigmoid(logits)
    each = functional.binary_cross_entropy_with_logits(logits, chance, reduction="none")
    return each.flatten(1).sum(1)
