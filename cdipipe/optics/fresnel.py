"""The near field: a chirp in the object's plane makes a far-field transform a Fresnel one.

    far field   psi -> F psi
    Fresnel     psi -> F [psi chi],   chi = exp(i pi |x|^2 / (lambda z))

Both land on a grid whose pitch is lambda z / (N dx). The quadratic phase in front of the Fresnel integral is left out:
no detector sees it. So the chirp goes into the probe modes of a ``ForwardModel``, I = sum_m |F [P_m chi O]|^2.
"""

from __future__ import annotations

import numpy as np

from cdipipe.errors import InputError
from cdipipe.optics.grid import pixel_axes


def detector_pixel_m(size_px: int, wavelength_m: float, distance_m: float, object_pixel_m: float) -> float:
    """Pitch of the pattern: wavelength * distance / (N * object pixel)."""
    return wavelength_m * distance_m / (size_px * object_pixel_m)


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
    rows, columns = pixel_axes(shape)
    return np.exp(1j * np.pi * object_pixel_m**2 / (wavelength_m * distance_m) * (rows**2 + columns**2))
