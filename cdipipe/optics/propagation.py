"""From the object to the detector: far field, Fresnel near field, and incoherent probe modes.

    far field   psi -> F psi
    Fresnel     psi -> F [psi chi],   chi = exp(i pi |x|^2 / (lambda z))

Both land on a grid whose pitch is lambda z / (N dx). The quadratic phase in front of the Fresnel integral is left out:
no detector sees it. Modes m of the probe do not interfere: I = sum_m |F [P_m O chi]|^2.
"""

from __future__ import annotations

import numpy as np
import torch

from cdipipe.errors import InputError
from cdipipe.optics import fourier


def detector_pixel_m(size_px: int, wavelength_m: float, distance_m: float, object_pixel_m: float) -> float:
    """Pitch of the pattern: wavelength * distance / (N * object pixel)."""
    return wavelength_m * distance_m / (size_px * object_pixel_m)


def fresnel_number(size_px: int, wavelength_m: float, distance_m: float, object_pixel_m: float) -> float:
    """(N dx / 2)^2 / (lambda z): half the field squared over wavelength and distance; far field when well below 1."""
    return (size_px * object_pixel_m / 2) ** 2 / (wavelength_m * distance_m)


def fresnel_chirp(shape: tuple[int, int], wavelength_m: float, distance_m: float, object_pixel_m: float) -> np.ndarray:
    """chi = exp(i pi |x|^2 / (lambda z)) on the object's grid.

    Parameters
    ----------
    shape : (H, W) pixels
    wavelength_m, distance_m, object_pixel_m : > 0, in m

    Returns
    -------
    (H, W) complex128, centred, of modulus 1

    Raises
    ------
    InputError   a number is not positive, or the chirp turns by more than half a cycle per pixel at the edge
    """
    numbers = {"wavelength_m": wavelength_m, "distance_m": distance_m, "object_pixel_m": object_pixel_m}
    for name, value in numbers.items():
        if not 0 < value < float("inf"):
            raise InputError(f"fresnel: {name} must be above 0; got {value}")
    least = max(shape) * object_pixel_m**2 / wavelength_m
    if distance_m < least:
        raise InputError(
            f"fresnel: distance_m {distance_m:g} is too near for {max(shape)} pixels of {object_pixel_m:g} m: the "
            f"chirp would alias; at least {least:.4g} m, or a smaller object_pixel_m"
        )
    rows, columns = np.ogrid[tuple(slice(-(n // 2), n - n // 2) for n in shape)]
    return np.exp(1j * np.pi * object_pixel_m**2 / (wavelength_m * distance_m) * (rows**2 + columns**2))


def propagate_far_field(exit_wave: torch.Tensor, ndim: int = 2) -> torch.Tensor:
    """Wavefront on the detector, (..., H, W) or (..., D, H, W), centred; energy is kept."""
    return fourier.forward(exit_wave, ndim)


def propagate_fresnel(
    exit_wave: torch.Tensor, wavelength_m: float, distance_m: float, object_pixel_m: float
) -> torch.Tensor:
    """Wavefront at ``distance_m``, up to a phase that no detector sees; energy is kept.

    Parameters
    ----------
    exit_wave : (..., H, W) complex, centred, pixel ``object_pixel_m``

    Returns
    -------
    (..., H, W) complex, centred, pixel :func:`detector_pixel_m`

    Raises
    ------
    InputError   as :func:`fresnel_chirp`
    """
    chirp = fresnel_chirp(tuple(exit_wave.shape[-2:]), wavelength_m, distance_m, object_pixel_m)
    chirp = torch.from_numpy(chirp).to(device=exit_wave.device, dtype=exit_wave.dtype)
    return fourier.forward(exit_wave * chirp, 2)


def propagate_intensity(object_: torch.Tensor, probe_modes: torch.Tensor | None = None, ndim: int = 2) -> torch.Tensor:
    """Photons on the detector: |F O|^2, or the incoherent sum over probe modes (a chirp belongs into the modes).

    Parameters
    ----------
    object_ : (..., H, W) or (..., D, H, W) complex, centred
    probe_modes : (M, H, W) complex, centred; one mode after another, so that memory does not grow with M
    """
    if probe_modes is None:
        return propagate_far_field(object_, ndim).abs().square()
    return sum(propagate_far_field(mode * object_, ndim).abs().square() for mode in probe_modes)
