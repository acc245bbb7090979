"""What the scenes that move share: geometry, illumination, refraction. Units: metres, seconds, kelvin, electron volts.

Matter has a refractive index n = 1 - delta + i beta, the wave is exp(+i k z), so a thickness t transmits
T = exp(i k (n - 1) t) = exp(-k beta t) exp(-i k delta t): the phase of matter is negative.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from cdipipe.measurement import PLANCK_TIMES_C_EV_M, Geometry
from cdipipe.simulation.registry import SceneParameters

CLASSICAL_ELECTRON_RADIUS_M = 2.8179403e-15
GAUSS_HERMITE_ORDERS = sorted(((m, n) for m in range(5) for n in range(5)), key=lambda order: (sum(order), order))


@dataclass(frozen=True)
class Material:
    """Refraction away from absorption edges.

    Parameters
    ----------
    electrons_per_m3 : gives delta as of free electrons, an approximation away from the edges
    beta, beta_energy_ev : absorption at one energy; it falls with the fourth power of the energy
    lowest_ev, highest_ev : edges between which this holds
    """

    electrons_per_m3: float
    beta: float
    beta_energy_ev: float
    lowest_ev: float
    highest_ev: float


GOLD = Material(4.66e30, 2.2e-6, 10000.0, 3500.0, 11900.0)
TANTALUM = Material(4.04e30, 3.4e-6, 8048.0, 2800.0, 9870.0)


class MovieParameters(SceneParameters):
    """A movie of something thin in a coherent beam."""

    frames: int = Field(50, ge=2, le=100000, description="frames of the movie")
    frame_time_s: float = Field(7e-3, gt=0, description="time from frame to frame; each is a snapshot")
    energy_ev: float = Field(6500.0, gt=0, description="photon energy (not stated for these experiments)")
    object_pixel_m: float = Field(12e-9, gt=0, description="pixel of the object; the distance follows from it")
    detector_pixel_m: float = Field(75e-6, gt=0, description="pixel of the detector")
    field_px: int | None = Field(
        None, ge=8, description="width of the illuminated field, in object pixels; not given: size / 2"
    )
    probe_aperture: Literal["round", "triangle"] = Field(
        "triangle", description="shape of the aperture that cuts the probe; that of the experiments is a triangle"
    )
    delta: float | None = Field(None, ge=0, lt=1, description="refractive index 1 - delta + i beta; not given: metal's")
    beta: float | None = Field(None, ge=0, lt=1, description="absorption; not given: metal's")

    @model_validator(mode="after")
    def _movie_possible(self):
        if self.field_px is not None and self.field_px > self.size:
            raise ValueError(f"field_px {self.field_px} is larger than the array (size {self.size})")
        return self

    @property
    def field(self) -> int:
        """Width of the illuminated field, pixels: a disc's diameter, a triangle's side."""
        return self.size // 2 if self.field_px is None else self.field_px

    @property
    def geometry(self) -> Geometry:
        """Far-field geometry whose object pixel is ``object_pixel_m``."""
        wavelength_m = PLANCK_TIMES_C_EV_M / self.energy_ev
        distance_m = self.object_pixel_m * self.size * self.detector_pixel_m / wavelength_m
        return Geometry(self.energy_ev, distance_m, self.detector_pixel_m)

    def frame_times_s(self) -> np.ndarray:
        return np.arange(self.frames) * self.frame_time_s


def check_material(parameters: MovieParameters, material: Material, name: str) -> None:
    """ValueError if the metal's delta and beta would be needed at an energy where they do not hold."""
    inside = material.lowest_ev <= parameters.energy_ev <= material.highest_ev
    if not inside and (parameters.delta is None or parameters.beta is None):
        raise ValueError(
            f"energy_ev {parameters.energy_ev}: {name} has built-in values from {material.lowest_ev:g} to "
            f"{material.highest_ev:g} eV, between its edges; give delta and beta"
        )


def phase_per_metre(parameters: MovieParameters, material: Material) -> complex:
    """i k (n - 1) = -k beta - i k delta: its product with a thickness is the logarithm of the transmission."""
    wavelength_m = PLANCK_TIMES_C_EV_M / parameters.energy_ev
    k = 2 * np.pi / wavelength_m
    delta = parameters.delta
    if delta is None:
        delta = CLASSICAL_ELECTRON_RADIUS_M * wavelength_m**2 * material.electrons_per_m3 / (2 * np.pi)
    beta = parameters.beta
    if beta is None:
        beta = material.beta * (material.beta_energy_ev / parameters.energy_ev) ** 4
    return -k * beta - 1j * k * delta


def pixel_axes(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Row and column coordinates from the centre ``N // 2``, to broadcast."""
    axis = np.arange(size, dtype=np.float64) - size // 2
    return axis[:, None], axis[None, :]


def field_support(size: int, field_px: int, aperture: str = "round") -> np.ndarray:
    """The illuminated field: where probe modes are not zero."""
    return depth_in_aperture(size, field_px, aperture) >= 0


def depth_in_aperture(size: int, field_px: int, aperture: str) -> np.ndarray:
    """How far inside the aperture's rim each pixel is, (size, size) pixels; negative outside.

    ``round``: a disc of diameter ``field_px``. ``triangle``: equilateral with that side, a corner up, its centroid in
    the centre. Unlike a disc it has no centre of symmetry, so what it lights differs from its twin image; the
    experiments of single-frame imaging use one (Kang et al., Opt. Express 29, 1441, 2021, doi:10.1364/OE.414341).
    """
    row, column = pixel_axes(size)
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
    row, column = pixel_axes(p.size)
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
