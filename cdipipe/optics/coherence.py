"""Partial spatial coherence by the Gaussian Schell model.

F^-1 I is the autocorrelation of the exit wave at the lag r; partial coherence multiplies it by

    mu(r) = exp(-r^2 / (2 xi^2)),      I_partial = F [mu(r) F^-1 I],

so the pattern is blurred by a Gaussian of N / (2 pi xi) pixels along each axis. ``coherence_px`` is xi, in pixels of
the object. Some papers give sigma_mu of exp(-r^2 / (4 sigma_mu^2)) instead (DPR, equation 3): xi = sqrt(2) sigma_mu.

DPR's published code puts the kernel's peak on the largest lag instead of lag zero. Fringes get deeper, about a tenth
of the pixels would be negative, and the modulus hides that; ``dpr_published`` does the same, for comparison only.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import torch

from cdipipe.optics import fourier

Variant = Literal["gaussian_schell", "dpr_published"]


def xi_from_sigma_mu(sigma_mu_px: float) -> float:
    """Width xi of exp(-r^2 / (2 xi^2)) that equals exp(-r^2 / (4 sigma_mu^2))."""
    return float(np.sqrt(2) * sigma_mu_px)


def blur_sigma_px(coherence_px: float, size_px: int) -> float:
    """Standard deviation of the equivalent blur of a pattern of ``size_px`` pixels: N / (2 pi xi)."""
    return size_px / (2 * np.pi * coherence_px)


def degree_of_coherence(
    shape: tuple[int, ...], coherence_px: float | torch.Tensor, variant: Variant = "gaussian_schell", like=None
) -> torch.Tensor:
    """mu(r) in FFT order, the half of it that real transforms need.

    Parameters
    ----------
    shape : of one pattern
    coherence_px : xi > 0 in pixels of the object; a tensor of widths makes one kernel for each
    like : tensor of the type and device wanted; None: float64

    Returns
    -------
    (*widths, H, W // 2 + 1) real
    """
    like = torch.empty(0, dtype=torch.float64) if like is None else like
    lags = fourier.frequencies_corner(shape, like.device)
    lags[-1] = lags[-1][..., : shape[-1] // 2 + 1]
    if variant == "dpr_published":
        lags = [size // 2 - lag.abs() for lag, size in zip(lags, shape, strict=True)]
    if isinstance(coherence_px, torch.Tensor):
        return _gaussian(lags, coherence_px.to(like.device, like.dtype))
    return _gaussian(lags, torch.full((), coherence_px, dtype=like.dtype, device=like.device), known=coherence_px)


def _gaussian(lags: list[torch.Tensor], width: torch.Tensor, known: float | None = None) -> torch.Tensor:
    """The kernel of a width; one on a GPU comes from a fit that keeps it above 0, to look would be to wait for it."""
    widths = known if known is not None else width if width.is_cpu else 1.0
    if not bool(torch.as_tensor(widths > 0).all()):
        raise ValueError(f"coherence_px must be above 0; got {widths if known is not None else width.tolist()}")
    width = width.reshape(*width.shape, *[1] * len(lags))
    return math.prod(torch.exp(lag.to(width.dtype).round() ** 2 / (-2 * width**2)) for lag in lags)


def apply_coherence(intensity: torch.Tensor, half_mu: torch.Tensor, ndim: int = 2) -> torch.Tensor:
    """F [mu F^-1 I]: linear, self-adjoint, keeps the sum; see :func:`degree_of_coherence` for ``half_mu``.

    Patterns that are sampled too coarsely for their object, and rounding, can leave small negative values.

    Parameters
    ----------
    intensity : (..., H, W) or (..., D, H, W) real, centred or in FFT order
    """
    return fourier.multiply_even_corner(intensity, half_mu, ndim)


def partially_coherent(
    intensity: torch.Tensor,
    coherence_px: float | torch.Tensor,
    ndim: int = 2,
    variant: Variant = "gaussian_schell",
) -> torch.Tensor:
    """Intensity under partially coherent light: at least 0, and with the sum of the coherent one.

    Parameters
    ----------
    intensity : (..., H, W) or (..., D, H, W) real, photons, centred or in FFT order
    coherence_px : xi in pixels of the object; a tensor of the shape of the leading axes gives each its own
    variant : ``dpr_published``: kernel off lag zero, modulus, scaled back to the sum; wrong, see above

    Raises
    ------
    ValueError   a width is not above 0

    References
    ----------
    Gaussian Schell model: Vartanyants & Singer, New J. Phys. 12, 035004 (2010), doi:10.1088/1367-2630/12/3/035004
    """
    axes = tuple(range(-ndim, 0))
    half_mu = degree_of_coherence(tuple(intensity.shape[-ndim:]), coherence_px, variant, intensity)
    blurred = apply_coherence(intensity, half_mu, ndim)
    blurred = blurred.abs() if variant == "dpr_published" else blurred.clamp(min=0)
    total, kept = intensity.sum(axes, keepdim=True), blurred.sum(axes, keepdim=True)
    return blurred * torch.where(kept > 0, total / kept.clamp(min=torch.finfo(kept.dtype).tiny), 1)


def blur_by_coherence(
    intensity: np.ndarray, coherence_px: float, variant: Variant = "gaussian_schell", ndim: int | None = None
) -> np.ndarray:
    """:func:`partially_coherent` for NumPy arrays; by default over all axes."""
    tensor = torch.from_numpy(np.ascontiguousarray(intensity))
    return partially_coherent(tensor, coherence_px, ndim or intensity.ndim, variant).numpy()


def diffract_partially_coherent(exit_wave: np.ndarray, coherence_px: float) -> np.ndarray:
    """Far field of a plane wave's exit wave under partially coherent light, over all axes.

    Where the object fills less than half of the array along each axis, only its own lags are transformed: several
    times faster than transforming the whole array, and the same up to rounding.

    Parameters
    ----------
    exit_wave : (H, W) or (D, H, W) complex, centred

    Returns
    -------
    float64, centred, >= 0, sum |exit_wave|^2
    """
    ndim, shape = exit_wave.ndim, exit_wave.shape
    block = exit_wave[_box(exit_wave)]
    if any(2 * extent > size for extent, size in zip(block.shape, shape, strict=True)):
        wave = torch.from_numpy(np.ascontiguousarray(exit_wave, dtype=np.complex128))
        return partially_coherent(fourier.forward(wave, ndim).abs().square(), coherence_px, ndim).numpy()
    lags = fourier.autocorrelation_corner(torch.from_numpy(np.ascontiguousarray(block, dtype=np.complex128)), ndim)
    width = torch.tensor(coherence_px, dtype=torch.float64)
    mu = _gaussian(fourier.frequencies_corner(tuple(lags.shape)), width)
    intensity = fourier.intensity_of_autocorrelation_corner(lags.mul_(mu), shape).clamp_(min=0)
    return fourier.to_centre(intensity, ndim).numpy()


def _box(array: np.ndarray) -> tuple[slice, ...]:
    """The smallest box around all values that are not zero; one pixel where there is none."""
    filled = array != 0
    box = []
    for axis in range(array.ndim):
        places = np.flatnonzero(filled.any(tuple(other for other in range(array.ndim) if other != axis)))
        box.append(slice(places[0], places[-1] + 1) if places.size else slice(0, 1))
    return tuple(box)
