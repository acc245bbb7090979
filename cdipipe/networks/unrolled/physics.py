"""The measured modulus of objects in a box, and GPS; of real and of complex objects."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from cdipipe.ops.projection import project_modulus
from cdipipe.ops.projection.iterate import iterate_
from cdipipe.ops.projection.relax import relax_modulus_
from cdipipe.optics import fourier
from cdipipe.optics.grid import central_slices

HIO_FEEDBACK = 0.9
DUAL_STEP = 0.9
"""s of generalised proximal smoothing; t is 1."""
LEAST_LAG = 0.01
"""Of the autocorrelation's maximum: the object is at half the lags where it is above."""
LAG_DEVIATIONS = 2.0
"""And above so many standard deviations of its noise."""
GROW_PX = 3
"""Half the difference body of a shape is no copy of it: it holds one once grown by so much, less in small boxes."""
FILL_SIGMA_PX = 2.5
"""Missing pixels are a Gaussian mean of their neighbours."""


class Modulus:
    """What was measured of a batch of patterns, in FFT order and with the axes of the grid in reverse.

    Transforms go axis by axis along the last one, where memory is in order; what comes out has the first axis last.

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
        self.modulus, self.known = _in_reverse(photons.sqrt()).contiguous(), _in_reverse(known).contiguous()

    def project(self, objects: Tensor) -> Tensor:
        """(B, *box): the objects with the measured modulus, cut to the box."""
        projected, _ = project_modulus(self.forward(objects), self.modulus, self.known, ndim=len(self.box))
        return self.inverse(projected)

    def r_factor(self, objects: Tensor) -> Tensor:
        """(B,) sum ||F u| - A| / sum A over what is known."""
        axes = tuple(range(1, objects.ndim))
        misfit = ((self.forward(objects).abs() - self.modulus).abs() * self.known).sum(axes)
        return misfit / (self.modulus * self.known).sum(axes).clamp(min=1e-12)

    def scale_of(self, objects: Tensor) -> Tensor:
        """(B, 1, ...) factor that gives objects the photons that were measured."""
        axes = tuple(range(1, objects.ndim))
        power = self.forward(objects).abs().square() * self.known
        light = self.modulus.square() * self.known
        return (light.sum(axes, keepdim=True) / power.sum(axes, keepdim=True).clamp(min=1e-20)).sqrt()

    def in_units(self, unit: Tensor) -> Modulus:
        """The same for objects that were divided by ``unit`` (B, 1, ...)."""
        other = copy.copy(self)
        other.modulus = self.modulus / unit
        return other

    def repeated(self, count: int) -> Modulus:
        """The same with each pattern ``count`` times, one beside the other."""
        other = copy.copy(self)
        other.modulus, other.known = (a.repeat_interleave(count, 0) for a in (self.modulus, self.known))
        return other

    def forward(self, objects: Tensor) -> Tensor:
        """Spectra (B, *reversed grid) of objects (B, *box), of real ones at the non-negative frequencies."""
        transform, spectra = torch.fft.rfft if self.real else torch.fft.fft, objects
        for place, side in enumerate(reversed(self.grid), 1):
            spectra = transform(spectra, n=side, norm="ortho").movedim(-1, place)
            transform = torch.fft.fft
        return spectra

    def inverse(self, spectra: Tensor) -> Tensor:
        """(B, *box), what of the objects lies in the box."""
        for place, side in enumerate(self.box[:-1], 1):
            spectra = torch.fft.ifft(spectra, norm="ortho")[..., :side].movedim(-1, place)
        transform = torch.fft.irfft if self.real else torch.fft.ifft
        return transform(spectra, n=self.grid[-1], norm="ortho")[..., : self.box[-1]]

    def low_pass(self, width: float) -> Tensor:
        """Gaussian on the spectra whose standard deviation is ``width`` times the size of the grid."""
        factor = fourier.gaussian_corner(self.grid, tuple(width * side for side in self.grid), self.modulus.device)
        return _in_reverse((self._half(factor) if self.real else factor)[None])[0].contiguous()

    def _half(self, array: Tensor) -> Tensor:
        return array[..., : self.grid[-1] // 2 + 1]


def half_autocorrelation(intensity: Tensor, measured: Tensor, box: Sequence[int]) -> Tensor:
    """Where the autocorrelation at twice the place is not noise, a little wider: room for a convex object.

    Missing pixels are filled from their neighbours; where much is missing, it becomes wide.

    Parameters
    ----------
    intensity, measured : (B, *grid) photons and bool, centred

    Returns
    -------
    (B, *box) bool
    """
    ndim, axes = len(box), tuple(range(1, intensity.ndim))
    counts = torch.where(measured, intensity, 0).clamp(min=0)
    near, weight = (fourier.gaussian_blur_corner(a.float(), FILL_SIGMA_PX, ndim) for a in (counts, measured))
    counts = torch.where(measured, counts, near / weight.clamp(min=1e-6))
    lags = fourier.to_centre(fourier.inverse_corner(fourier.to_corner(counts.to(torch.complex64), ndim), ndim), ndim)
    lags = _pool(lags.abs(), "avg", 1)
    least = LAG_DEVIATIONS / counts.sum(axes, keepdim=True).clamp(min=1e-12).sqrt()
    far = lags / lags.amax(axes, keepdim=True).clamp(min=1e-12) > least.clamp(min=LEAST_LAG)
    for axis, side in zip(axes, box, strict=True):
        middle, places = far.shape[axis] // 2, torch.arange(-(side // 2), side - side // 2, device=far.device)
        far = far.index_select(axis, (middle + 2 * places).clamp(0, far.shape[axis] - 1))
    return grown(far, min(GROW_PX, max(box) // 10))


def grown(inside: Tensor, radius: int) -> Tensor:
    """Supports (B, *box) bool, ``radius`` pixels wider on all sides."""
    return _pool(inside.float(), "max", radius) > 0


def _pool(arrays: Tensor, kind: str, radius: int) -> Tensor:
    """Mean or maximum over cubes of 2 ``radius`` + 1, of (B, *grid)."""
    pool = getattr(functional, f"{kind}_pool{arrays.ndim - 1}d")
    return pool(arrays[:, None], 2 * radius + 1, 1, radius)[:, 0]


class Smoothing:
    """Generalised proximal smoothing (``methods.gps``, variant R) of objects in a box: the pair (z, y) on the detector.

    It begins with z = P A u, y = 0. The residual v - P_S v of the dual step differs from v in the box only, so both
    transforms are those of a box. Without autograd.

    Parameters
    ----------
    modulus : Modulus
    objects : (B, *box), where to begin
    """

    def __init__(self, modulus: Modulus, objects: Tensor):
        self._modulus = modulus
        self._wavefront = modulus.forward(objects).contiguous()
        self._relax(torch.zeros_like(self._wavefront))
        self._dual = torch.zeros_like(self._wavefront)

    def run(self, inside: Tensor, count: int, softness: float, width: float) -> None:
        """Iterations within a support (B, *box) bool.

        Parameters
        ----------
        softness : sigma, tolerance of the modulus
        width : alpha, of the Fourier filter over the size of the grid
        """
        low_pass = self._modulus.low_pass(width / DUAL_STEP**0.5)
        for _ in range(count):
            self._relax(self._dual, s=DUAL_STEP, softness=softness, low_pass=low_pass)
            found = self._modulus.inverse(self._dual)
            self._dual -= self._modulus.forward(torch.where(inside, found.relu() if self._modulus.real else found, 0))

    def objects(self) -> Tensor:
        """A^-1 z in the box."""
        return self._modulus.inverse(self._wavefront)

    def _relax(self, dual: Tensor, **rule) -> None:
        modulus = self._modulus
        relax_modulus_(self._wavefront, dual, modulus.modulus, modulus.known, ndim=len(modulus.box), **rule)


def begin_hio(modulus: Modulus, objects: Tensor) -> Tensor:
    """Complex objects (B, *box) in the whole grid, FFT order, (B, *grid) complex64: what HIO begins with."""
    wave = objects.new_zeros(len(objects), *modulus.grid, dtype=torch.complex64)
    wave[(..., *central_slices(modulus.grid, modulus.box))] = objects
    return fourier.to_corner(wave, len(modulus.box)).contiguous()


def hio_(modulus: Modulus, wave: Tensor, inside: Tensor, count: int, last: int = 0) -> Tensor:
    """Iterate in place within a support (B, *box) bool, the last ones by error reduction; P_M of the iterate before.

    Parameters
    ----------
    wave : (B, *grid) complex64, FFT order, from ``begin_hio``

    Returns
    -------
    (B, *box) complex64: what of P_M u lies in the box
    """
    ndim, whole = len(modulus.box), begin_hio(modulus, inside.to(torch.complex64)).real > 0.5
    misfit = torch.empty(len(wave), dtype=torch.float64, device=wave.device)
    arrays = wave, *(_in_reverse(a).contiguous() for a in (modulus.modulus, modulus.known)), whole.contiguous(), misfit
    found = wave
    for turn in range(count + last):
        rule = {"a": 1.0, "b": -HIO_FEEDBACK, "c": 0.0} if turn < count else {"a": 0.0, "b": 0.0, "c": 1.0}
        found = iterate_(*arrays, **rule, g=0.0, ndim=ndim)
    return fourier.to_centre(found, ndim)[(..., *central_slices(modulus.grid, modulus.box))]


def _in_reverse(array: Tensor) -> Tensor:
    """(B, *grid) with the axes of the grid in reverse."""
    return array.permute(0, *range(array.ndim - 1, 0, -1))


def _reversed(array: Tensor, ndim: int) -> Tensor:
    """Values at -q of an array in FFT order."""
    axes = tuple(range(-ndim, 0))
    return torch.roll(torch.flip(array, axes), (1,) * ndim, axes)
