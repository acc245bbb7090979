"""Refraction by the metals of the scenes that move.

Matter has a refractive index n = 1 - delta + i beta, the wave is exp(+i k z), so a thickness t transmits
T = exp(i k (n - 1) t) = exp(-k beta t) exp(-i k delta t): the phase of matter is negative.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cdipipe.measurement import PLANCK_TIMES_C_EV_M
from cdipipe.simulation.movies.parameters import MovieParameters

CLASSICAL_ELECTRON_RADIUS_M = 2.8179403e-15


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
