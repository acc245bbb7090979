"""The unrolled network at work: its checkpoint, several random starts, of their objects the one that fits best."""

from __future__ import annotations

import functools
from pathlib import Path

import torch
from torch import Tensor

from cdipipe.networks.checkpoint import Checkpoint, read_checkpoint
from cdipipe.networks.predictor import best_layout
from cdipipe.networks.unrolled.loss import draw_start
from cdipipe.networks.unrolled.model import State, Unrolled, room_of, smooth
from cdipipe.networks.unrolled.physics import Modulus, hio_
from cdipipe.networks.unrolled.settings import UnrolledParameters
from cdipipe.optics import fourier
from cdipipe.optics.grid import central_slices
from cdipipe.optics.regrid import coarser

LAST = 1.0, 0.2
"""Softness and filter width of GPS inside the support that was found."""
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
        self.settings, self.parameters = checkpoint.settings.network, parameters
        self.module = checkpoint.build().to(device)
        self.module.to(memory_format=best_layout(self.module))
        if parameters.schedule is not None:
            self.module.steps, self.module.start_iterations, self.module.iterations = parameters.schedule
        self.pattern_shape = (self.settings.size,) * self.settings.dimensions

    def takes(self, pattern_shape: tuple[int, ...]) -> bool:
        """Whether patterns have the size of the training; complex objects live in their box, whatever surrounds it."""
        same_rank = len(pattern_shape) == self.settings.dimensions
        larger = not self.settings.real and same_rank and min(pattern_shape) >= self.settings.size
        return larger or pattern_shape == self.pattern_shape

    def __call__(self, intensity: Tensor, measured: Tensor) -> tuple[Tensor, Tensor]:
        """(B, *grid) photons and bool to complex64 objects and bool supports, all centred.

        Whole patterns that are larger than those of the training are brought to their size.
        """
        grid = tuple(intensity.shape[1:])
        if grid != self.pattern_shape and bool(measured.all()):
            corner = fourier.to_corner(intensity.clamp(min=0), len(grid))
            intensity = fourier.to_centre(coarser(corner, self.pattern_shape), len(grid))
            measured = torch.ones_like(intensity, dtype=torch.bool)
        together = len(intensity) if intensity.is_cuda else max(1, TOGETHER_PIXELS // intensity[0].numel())
        pairs = zip(intensity.split(together), measured.split(together), strict=True)
        found = [from_starts(self.module, *pair, self.parameters) for pair in pairs]
        boxes, supports = (torch.cat(parts) for parts in zip(*found, strict=True))
        return in_whole_grid(boxes, grid), in_whole_grid(supports, grid).real > 0


@torch.no_grad()
def from_starts(
    module: Unrolled, intensity: Tensor, measured: Tensor, how: UnrolledParameters
) -> tuple[Tensor, Tensor]:
    """Object (B, *box) and support, bool, from that of several random starts whose R-factor was least after some steps.

    Parameters
    ----------
    how : ``starts``, ``start_seed``, ``screen_steps``, ``step_count`` and ``finish`` are used
    """
    generator = torch.Generator(intensity.device).manual_seed(how.start_seed)
    modulus = Modulus(intensity, measured, (module.box_px,) * module.dimensions, module.real)
    schedule, screened = module.schedule(how.step_count), min(how.screen_steps, how.step_count)
    first = module.first_inside(intensity, measured)
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
