"""The unrolled network at work: its checkpoint, several random starts, of their objects the one that fits best."""

from __future__ import annotations

import functools
import itertools
import logging
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor

from cdipipe.networks.checkpoint import Checkpoint, read_checkpoint
from cdipipe.networks.predictor import best_layout
from cdipipe.networks.unrolled import planes
from cdipipe.networks.unrolled.loss import draw_start
from cdipipe.networks.unrolled.model import LAST, State, Unrolled, room_of, smooth
from cdipipe.networks.unrolled.physics import Modulus, hio_
from cdipipe.networks.unrolled.settings import UnrolledParameters
from cdipipe.networks.unrolled.too_large import refuse_large
from cdipipe.networks.unrolled.volumes import INSTEAD, fill, plan_window
from cdipipe.optics import fourier
from cdipipe.optics.grid import central_slices
from cdipipe.optics.regrid import coarser

MIDDLE = 5
"""Voxels per axis of the network's patterns, about a speckle and a half."""
logger = logging.getLogger("cdipipe")
TOGETHER_PIXELS = 2**18
"""Pixels of the patterns that go through the network together on a CPU: what its caches hold."""


class UnrolledPredictor:
    """Batches of patterns to objects and supports, see ``Method.predict``.

    Parameters
    ----------
    checkpoint : Checkpoint
    parameters : UnrolledParameters
    device : torch device
    """

    def __init__(self, checkpoint: Checkpoint, parameters: UnrolledParameters, device):
        self.settings = checkpoint.settings.network
        self.parameters = parameters.filled(self.settings)
        self.module = checkpoint.build().to(device)
        self.module.to(memory_format=best_layout(self.module))
        if parameters.schedule is not None:
            self.module.steps, self.module.start_iterations, self.module.iterations = parameters.schedule
        self.pattern_shape = (self.settings.size,) * self.settings.dimensions

    def takes(self, pattern_shape: tuple[int, ...]) -> bool:
        """Whether patterns have the size of the training; complex objects live in their box, volumes of any size."""
        same_rank = len(pattern_shape) == self.settings.dimensions
        if self.settings.dimensions == 3:
            return same_rank
        larger = not self.settings.real and same_rank and min(pattern_shape) >= self.settings.size
        return larger or pattern_shape == self.pattern_shape

    def __call__(self, intensity: Tensor, measured: Tensor) -> tuple[Tensor, Tensor]:
        """(B, *grid) photons and bool to complex64 objects and bool supports, all centred.

        Whole patterns that are larger than those of the training are brought to their size.
        """
        if self.settings.dimensions == 3:
            return self._of_volumes(intensity, measured)
        grid, of_plane = tuple(intensity.shape[1:]), self._of_boxes if self.settings.real else self._of_planes
        boxes, supports = of_plane(intensity, measured)
        return in_whole_grid(boxes, grid), in_whole_grid(supports, grid).real > 0

    def _of_boxes(self, intensity: Tensor, measured: Tensor) -> tuple[Tensor, Tensor]:
        """The same for patterns of the network's size, in its box."""
        together = len(intensity) if intensity.is_cuda else max(1, TOGETHER_PIXELS // intensity[0].numel())
        pairs = zip(intensity.split(together), measured.split(together), strict=True)
        filled = self.settings.dimensions == 3
        found = [from_starts(self.module, *pair, self.parameters, filled) for pair in pairs]
        return tuple(torch.cat(parts) for parts in zip(*found, strict=True))

    def _of_planes(self, intensity: Tensor, measured: Tensor) -> tuple[Tensor, Tensor]:
        """The same for patterns of complex objects, of the network's size or larger, in its box."""
        refuse_large(intensity, measured, self.settings.box_px)
        small = intensity, measured
        if tuple(intensity.shape[1:]) != self.pattern_shape and bool(measured.all()):
            corner = fourier.to_corner(intensity.clamp(min=0), 2)
            counts = fourier.to_centre(coarser(corner, self.pattern_shape), 2)
            small = counts, torch.ones_like(counts, dtype=torch.bool)
        if self.module.base == "hio":
            return self._of_boxes(*small)
        each = small[0][0].numel() * self.parameters.starts
        together = len(intensity) if intensity.is_cuda else max(1, planes.TOGETHER_PIXELS // each)
        parts = zip(*(array.split(together) for array in (*small, intensity, measured)), strict=True)
        found = [planes.search(self.module, part[:2], part[2:], self.parameters) for part in parts]
        return tuple(torch.cat(parts) for parts in zip(*found, strict=True))

    def _of_volumes(self, intensity: Tensor, measured: Tensor) -> tuple[Tensor, Tensor]:
        """The same for volumes of any size."""
        counts = [fill(*pair) for pair in zip(intensity.clamp(min=0), measured, strict=True)]
        windows = [plan_window(pattern, self.settings.size, self.settings.box_px) for pattern in counts]
        shrunk = [window.shrink(*pair) for window, *pair in zip(windows, counts, measured, strict=True)]
        self._look_at_middle(known for _, known in shrunk)
        found = self._of_boxes(*(torch.stack(part) for part in zip(*shrunk, strict=True)))
        large = [window.enlarge(*pair) for window, *pair in zip(windows, *found, strict=True)]
        return tuple(torch.stack(part) for part in zip(*large, strict=True))

    def _look_at_middle(self, known: Iterable[Tensor]) -> None:
        """Warn where most of what tells the size and the low frequencies of an object is missing."""
        middle = central_slices(self.pattern_shape, (MIDDLE,) * 3)
        if any(float(pattern[middle].float().mean()) < 0.5 for pattern in known):
            logger.warning(
                "unrolled: the middle of a volume is not measured; where phases are strong, iterations do better "
                "there (%s)",
                INSTEAD,
            )


@torch.no_grad()
def from_starts(
    module: Unrolled, intensity: Tensor, measured: Tensor, how: UnrolledParameters, filled: bool = False
) -> tuple[Tensor, Tensor]:
    """Object (B, *box) and support, bool, from that of several random starts whose R-factor was least after some steps.

    Parameters
    ----------
    how : filled; ``starts``, ``start_seed``, ``screen_steps``, ``step_count``, ``second_starts``, ``finish`` are used
    filled : whether ``intensity`` holds good guesses of what was not measured: the first support comes from them, too
    """
    generator = torch.Generator(intensity.device).manual_seed(how.start_seed)
    modulus = Modulus(intensity, measured, (module.box_px,) * module.dimensions, module.real)
    schedule, screened = module.schedule(how.step_count), min(how.screen_steps, how.step_count)
    first = module.first_inside(intensity, torch.ones_like(measured) if filled else measured)
    room = room_of(first)
    best: tuple[State, Tensor] | None = None
    for _ in range(how.starts):
        start = draw_start(module, 1, generator).expand(len(intensity), *[-1] * module.dimensions)
        state = module.begin(modulus, start, schedule[0], first, room)
        for iterations in schedule[1:screened]:
            state = module.go_on(modulus, state, iterations)
        score = modulus.r_factor(_iterate_of(module, modulus, state))
        if best is not None:
            state, score = state.where(score < best[1], best[0]), torch.minimum(score, best[1])
        best = state, score
    state = best[0]
    for iterations in schedule[screened:]:
        state = module.go_on(modulus, state, iterations)
    found, inside = _object(state), state.inside()
    if how.second_starts and module.base == "gps":
        found = from_second_starts(module, modulus, found, inside, how.second_starts, generator)
    if how.finish and module.base == "hio":
        found = torch.where(inside, hio_(modulus, state.wave, inside, 0, how.finish), 0)
    elif how.finish:
        found = smooth(modulus, found, inside, [LAST] * how.finish)
        found = torch.where(inside, found.relu() if module.real else found, 0)
    return found, inside


def _iterate_of(module: Unrolled, modulus: Modulus, state: State) -> Tensor:
    """What tells how good a start is: of HIO its iterate in the support, of GPS the object."""
    if module.base != "hio":
        return _object(state)
    return torch.where(state.inside(), hio_(modulus, state.wave.clone(), state.inside(), 0, 2), 0)


def from_second_starts(
    module: Unrolled, modulus: Modulus, found: Tensor, inside: Tensor, count: int, generator
) -> Tensor:
    """What GPS makes inside a support, (B, *box) bool, of an object and of new starts, each with the whole schedule.

    One object has stagnated on the way to its support; all within the same support are compared fairly by R.
    """
    schedule = list(itertools.chain(*module.schedule(module.steps)))
    best, least = found, torch.full_like(modulus.r_factor(found), torch.inf)
    for index in range(count):
        start = draw_start(module, 1, generator).expand_as(found) if index else found
        start = torch.where(inside, start * modulus.scale_of(start), 0)
        made = torch.where(inside, smooth(modulus, start, inside, schedule), 0)
        score = modulus.r_factor(made)
        best = torch.where((score < least).reshape(-1, *[1] * module.dimensions), made, best)
        least = torch.minimum(score, least)
    return best


def _object(state: State) -> Tensor:
    """The estimate on the scale of the photons; of real objects nothing negative."""
    estimate = state.estimate * state.unit
    return estimate if estimate.is_complex() else estimate.relu()


def in_whole_grid(boxes: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Boxes in the middle of their pattern's grid, zeros around, complex64."""
    whole = boxes.new_zeros(len(boxes), *shape, dtype=torch.complex64)
    whole[(..., *central_slices(shape, tuple(boxes.shape[1:])))] = boxes.to(torch.complex64)
    return whole


def load_unrolled(file: str, parameters: UnrolledParameters, device) -> UnrolledPredictor:
    """The predictor of a checkpoint.

    Raises
    ------
    InputError   the file is no checkpoint of this network
    """
    path = Path(file).expanduser()
    changed = path.stat().st_mtime_ns if path.exists() else 0
    return UnrolledPredictor(_read(str(path), changed), parameters, device)


@functools.lru_cache(maxsize=4)
def _read(path: str, _changed: int) -> Checkpoint:
    return read_checkpoint(path, "unrolled")
