"""Focused, partially coherent beams: apertures, and the Gauss-Hermite modes that they cut."""

from __future__ import annotations

import numpy as np

from cdipipe.optics.grid import pixel_axes
from cdipipe.simulation.movies.parameters import MovieParameters

GAUSS_HERMITE_ORDERS = sorted(((m, n) for m in range(5) for n in range(5)), key=lambda order: (sum(order), order))


def field_support(size: int, field_px: int, aperture: str = "round") -> np.ndarray:
    """The illuminated field: where probe modes are not zero."""
    return depth_in_aperture(size, field_px, aperture) >= 0


def depth_in_aperture(size: int, field_px: int, aperture: str) -> np.ndarray:
    """How far inside the aperture's rim each pixel is, (size, size) pixels; negative outside.

    ``round``: a disc of diameter ``field_px``. ``triangle``: equilateral with that side, a corner up, its centroid in
    the centre. Unlike a disc it has no centre of symmetry, so what it lights differs from its twin image; the
    experiments of single-frame imaging use one (Kang et al., Opt. Express 29, 1441, 2021, doi:10.1364/OE.414341).
    """
    row, column = pixel_axes((size, size))
    if aperture == "round":
        return field_px / 2 - np.hypot(row, column)
    sides = [np.sin(angle) * row + np.cos(angle) * column for angle in np.pi / 6 * np.array([3, -1, 7])]
    return field_px / np.sqrt(12) - np.maximum.reduce(np.broadcast_arrays(*sides))


WAISTS = {"round": 1 / 3.2, "triangle": 1 / 2}
"""Waist of the Gaussian beam over the field's width: a triangle's corners need the wider one."""


def probe_modes(parameters: MovieParameters) -> np.ndarray:
    """Partially coherent focused beam: Gauss-Hermite modes of falling weight, cut by an aperture.

    Such modes are those of a Gaussian Schell source, each one order weaker by a constant factor (Starikov and Wolf,
    J. Opt. Soc. Am. 72, 923, 1982, doi:10.1364/JOSA.72.000923). Mode m n weighs ``second_mode_weight ** (m + n)``.
    ``probe_curvature_rad`` is the phase half a field's width from the centre: the beam is a little out of focus.

    Parameters
    ----------
    parameters : with ``probe_modes``, their number, ``second_mode_weight`` and ``probe_curvature_rad``

    Returns
    -------
    (M, size, size) complex64; sum over all of |P|^2 is 1; the rim falls to zero over two pixels
    """
    p = parameters
    row, column = pixel_axes((p.size, p.size))
    waist = p.field * WAISTS[p.probe_aperture]
    bent = np.exp(1j * p.probe_curvature_rad * (2 * np.hypot(row, column) / p.field) ** 2)
    aperture = np.clip(depth_in_aperture(p.size, p.field, p.probe_aperture) / 2, 0, 1) * bent
    modes = [
        np.sqrt(p.second_mode_weight ** (m + n)) * hermite(m, row / waist) * hermite(n, column / waist) * aperture
        for m, n in GAUSS_HERMITE_ORDERS[: p.probe_modes]
    ]
    stack = np.stack(modes)
    return (stack / np.sqrt(np.sum(np.abs(stack) ** 2))).astype(np.complex64)


def hermite(order: int, x: np.ndarray) -> np.ndarray:
    """Gauss-Hermite function of unit energy, its Gaussian being exp(-x^2)."""
    from math import factorial

    polynomial = np.polynomial.hermite.hermval(np.sqrt(2) * x, [0] * order + [1])
    return polynomial * np.exp(-(x**2)) / np.sqrt(2.0**order * factorial(order))
