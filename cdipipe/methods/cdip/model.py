"""From the two outputs of a field to photons on the detector, for a batch of seeds.

isolated      psi(x, y) = scale * sum_z softplus(o_1) exp(i o_2)            zero outside the box
refractive    T(x, y)   = exp(-sum_z (beta + i delta)), both softplus       one outside the box; matter delays

An object constraint bounds o_2 to the phases that it allows. A true 3D pattern takes the field itself, without the sum.
The box is small, so its transform to the whole detector is one small matrix product per axis. Partial coherence blurs
the pattern with a Gaussian, and a flat background is added.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from cdipipe.optics import coherence, fourier

SOFTPLUS_AT_START = 1.4
"""1 / softplus(0): a field that has not learned anything yet gives the expected modulus."""
SMOOTHING = 1e-2
"""Share of an object's modulus below which a step between pixels counts as none: keeps the slope of TV finite."""
LEAST_BACKGROUND = 1e-3
"""A background that is fitted begins at this share of the mean count."""
PHASES_RAD = {"real_nonneg": (0.0, 0.0), "re_nonneg": (-math.pi / 2, math.pi / 2), "quadrant": (0.0, math.pi / 2)}
"""Phases that constraints allow; ``support`` allows all."""
REFRACTIVE_SHIFT = 5.0
"""softplus(-5) = 0.007: at the start a refractive object hardly does anything to the beam."""


class BoxModel(nn.Module):
    """What the detector sees of objects in a box.

    Parameters
    ----------
    problem : Problem
    box : Box
    seeds : int
        Objects in the batch; each has a coherence width and a background of its own.
    refractive : bool
    modulus : float
        Modulus of the exit wave where the field gives one: sqrt(photons per pixel of the object).
    fits : what is fitted of the light, ``coherence`` and ``background``
        They start at the problem's; a background that it has not, at a thousandth of the mean.
    """

    def __init__(self, problem, box, seeds, refractive=False, modulus=1.0, fits=()):
        super().__init__()
        self.problem, self.box, self.refractive, self.modulus = problem, box, refractive, modulus
        self.ndim, self.shape = problem.ndim, problem.shape
        self.phases_rad = allowed_phases(problem)
        self.transforms = [_box_transform(box.places(axis), size) for axis, size in enumerate(self.shape)]
        self.transforms = [matrix.to(problem.device) for matrix in self.transforms]
        self.index = tuple(i.to(problem.device) for i in box.index(self.shape))
        probes = problem.model.probe_modes
        self.probes = None if probes is None else probes[(slice(None), *self.index)]
        self.reference = self._reference()
        width, background = (_first(value) for value in (problem.coherence_px, problem.background))
        if "background" in fits:
            background = max(background, LEAST_BACKGROUND * problem.photons / max(int(problem.measured.sum()), 1))
        self.log_coherence = _parameter(width, seeds, "coherence" in fits, problem.device)
        self.log_background = _parameter(background, seeds, "background" in fits, problem.device)

    def _reference(self):
        """Wavefront of all that is not in the box, or None: of a static region, and of the free beam."""
        static = self.problem.model.static_region is not None
        if not (self.refractive or static):
            return None
        outside = torch.full(self.shape, float(self.refractive), dtype=torch.complex64, device=self.problem.device)
        outside[self.index] = 0
        return self.problem.model.wavefront(outside[None])[0]

    def exit_wave(self, outputs: torch.Tensor) -> torch.Tensor:
        """Objects (seeds, *block) complex64 from the outputs (seeds, X, Y, Z, 2) of a field."""
        first, second = outputs.unbind(-1)
        if self.refractive:
            thickness = nn.functional.softplus(torch.stack((first, second)) - REFRACTIVE_SHIFT).sum(-1)
            return torch.polar((-thickness[0]).exp(), -thickness[1])
        waves = isolated_waves(first, second, self.phases_rad)
        if self.ndim == 3:
            return waves * (SOFTPLUS_AT_START * self.modulus)
        return waves.sum(-1) * (SOFTPLUS_AT_START * self.modulus / outputs.shape[3])

    def intensity(self, objects: torch.Tensor) -> torch.Tensor:
        """Photons (seeds, *grid), FFT order, of objects (seeds, *block) in the middle of the box."""
        wave = self.wavefront(objects)
        photons = wave.real.square() + wave.imag.square()
        photons = photons if self.probes is None else photons.sum(1)
        if self.log_coherence is not None:
            width = self.log_coherence.exp()
            kernel = coherence.degree_of_coherence(self.shape, width, like=photons)
            photons = fourier.multiply_even_corner(photons, kernel, self.ndim)
        if self.log_background is not None:
            photons = photons + self.log_background.exp().reshape(-1, *(1,) * self.ndim)
        return photons.clamp(min=0)

    def light(self, chosen) -> tuple[torch.Tensor | None, torch.Tensor | float]:
        """Coherence widths (B,) and backgrounds (B, 1, ...) of some seeds, as a problem takes them."""
        width = None if self.log_coherence is None else self.log_coherence.detach().exp()[chosen]
        if self.log_background is None:
            return width, 0.0
        return width, self.log_background.detach().exp()[chosen].reshape(-1, *(1,) * self.ndim)

    def wavefront(self, objects: torch.Tensor) -> torch.Tensor:
        """Wavefronts (seeds, [modes], *grid), FFT order."""
        wave = self._fill_box(objects) if self.refractive else objects
        middle = self.box.middle(wave.shape[1:])
        if self.probes is not None:
            wave = self.probes[(slice(None), *middle)] * wave.unsqueeze(1)
        for axis, (matrix, part) in enumerate(zip(self.transforms, middle, strict=True)):
            wave = _apply(matrix[:, part], wave, axis - self.ndim)
        return wave if self.reference is None else wave + self.reference

    def _fill_box(self, objects: torch.Tensor) -> torch.Tensor:
        """Transmission one around an object that does not fill its box yet."""
        if objects.shape[1:] == self.box.sides:
            return objects
        whole = objects.new_ones((len(objects), *self.box.sides))
        whole[(slice(None), *self.box.middle(objects.shape[1:]))] = objects
        return whole

    def embed(self, objects: torch.Tensor) -> torch.Tensor:
        """Objects on the whole grid, (seeds, *grid) complex64 in FFT order."""
        whole = objects.new_full((len(objects), *self.shape), float(self.refractive))
        middle = self.box.middle(objects.shape[1:])
        whole[(slice(None), *(i[middle] for i in self.index))] = objects
        return whole


def allowed_phases(problem) -> tuple[float, float] | None:
    """Lowest and highest phase that the constraint of a problem allows; None: all."""
    return problem.phase_range_rad if problem.constraint == "phase_range" else PHASES_RAD.get(problem.constraint)


def isolated_waves(first, second, phases_rad: tuple[float, float] | None):
    """Complex cells from both outputs of a field, with phases between two if they are bounded."""
    if phases_rad is not None:
        low, high = phases_rad
        second = low + (high - low) * second.sigmoid()
    return torch.polar(nn.functional.softplus(first), second)


def _box_transform(places: torch.Tensor, size: int) -> torch.Tensor:
    """(size, side) complex64: the columns of the orthonormal transform in FFT order that belong to ``places``."""
    turns = torch.outer(torch.arange(size), places).remainder(size).double() / size
    return torch.polar(torch.ones_like(turns), -2 * math.pi * turns).div(math.sqrt(size)).to(torch.complex64)


def _apply(matrix: torch.Tensor, array: torch.Tensor, axis: int) -> torch.Tensor:
    """A matrix along one axis counted from the last."""
    if axis == -1:
        return array @ matrix.T
    if axis == -2:
        return matrix @ array
    return (array.movedim(axis, -1) @ matrix.T).movedim(-1, axis)


def _first(value):
    """A number that all items of a batch begin with."""
    return float(value.flatten()[0]) if isinstance(value, torch.Tensor) else value


def _parameter(value, seeds, is_fitted, device):
    """The logarithm of a positive quantity for each seed: fixed, fitted, or absent."""
    if not value:
        return None
    return nn.Parameter(torch.full((seeds,), math.log(value), device=device), requires_grad=is_fitted)
