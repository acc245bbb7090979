"""The measured modulus of objects in a box, and the step of HIO; differentiable, of real and of complex objects."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from cdipipe.ops.projection import project_modulus
from cdipipe.optics import fourier


class Modulus:
    """What was measured of a batch of patterns, in FFT order.

    The pattern of a real object is the same at q and -q: the photons at both are averaged, and half the
    frequencies remain, more of them measured, with less noise.

    Parameters
    ----------
    intensity : (B, *grid) float, photons, centred; negative and masked values count as 0
    measured : (B, *grid) bool
    box : shape of the box that holds the object
    real : whether objects are real
    """

    def __init__(self, intensity: Tensor, measured: Tensor, box: tuple[int, ...], real: bool):
        self.grid, self.box, self.real = tuple(intensity.shape[1:]), box, real
        ndim = len(box)
        photons = fourier.to_corner(torch.where(measured, intensity, 0).clamp(min=0), ndim)
        known = fourier.to_corner(measured, ndim)
        if real:
            count = known.to(photons.dtype)
            count = self._half(count + _reversed(count, ndim))
            photons = self._half(photons + _reversed(photons, ndim)) / count.clamp(min=1)
            known = count > 0
        self.modulus, self.known = photons.sqrt().contiguous(), known.contiguous()

    def project(self, objects: Tensor) -> Tensor:
        """(B, *box): the objects with the measured modulus, cut to the box."""
        projected, _ = project_modulus(self._forward(objects), self.modulus, self.known, ndim=len(self.box))
        if self.real:
            return fourier.inverse_real_box_corner(projected, self.grid, self.box)
        return fourier.inverse_box_corner(projected, self.box)

    def r_factor(self, objects: Tensor) -> Tensor:
        """(B,) sum ||F u| - A| / sum A over what is known."""
        axes = tuple(range(1, objects.ndim))
        misfit = ((self._forward(objects).abs() - self.modulus).abs() * self.known).sum(axes)
        return misfit / (self.modulus * self.known).sum(axes).clamp(min=1e-12)

    def scale_of(self, objects: Tensor) -> Tensor:
        """(B, 1, ...) factor that gives objects the photons that were measured."""
        axes = tuple(range(1, objects.ndim))
        power = self._forward(objects).abs().square() * self.known
        light = self.modulus.square() * self.known
        return (light.sum(axes, keepdim=True) / power.sum(axes, keepdim=True).clamp(min=1e-20)).sqrt()

    def in_units(self, unit: Tensor) -> Modulus:
        """The same for objects that were divided by ``unit`` (B, 1, ...)."""
        other = copy.copy(self)
        other.modulus = self.modulus / unit
        return other

    def _forward(self, objects: Tensor) -> Tensor:
        transform = fourier.forward_real_box_corner if self.real else fourier.forward_box_corner
        return transform(objects, self.grid)

    def _half(self, array: Tensor) -> Tensor:
        return array[..., : self.grid[-1] // 2 + 1]


def hio_step(objects: Tensor, projected: Tensor, inside: Tensor, feedback: float) -> Tensor:
    """P x inside the support, where a real one is positive; x - feedback P x elsewhere in the box."""
    allowed = inside if projected.is_complex() else inside & (projected > 0)
    return torch.where(allowed, projected, objects - feedback * projected)


def _reversed(array: Tensor, ndim: int) -> Tensor:
    """Values at -q of an array in FFT order."""
    axes = tuple(range(-ndim, 0))
    return torch.roll(torch.flip(array, axes), (1,) * ndim, axes)
