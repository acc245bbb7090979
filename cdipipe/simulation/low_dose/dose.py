"""Radiation dose from fluence, and photons per pixel."""

from __future__ import annotations

ELECTRONVOLT_J = 1.602176634e-19
UM2_PER_CM2 = 1e8
G_PER_KG = 1e3


def dose_gray(fluence_per_um2: float, energy_ev: float, mass_attenuation_cm2_g: float = 1e4) -> float:
    """Dose of the surface layer of a sample, in gray (J/kg).

    dose = fluence * photon energy * mu / rho, that is 1.602e-8 * n [1/um^2] * E [eV] * mu/rho [cm^2/g].

    Parameters
    ----------
    fluence_per_um2 : incident photons per square micrometre
    energy_ev : photon energy
    mass_attenuation_cm2_g : mu / rho; about 1e4 for protein at 530 eV

    References
    ----------
    Howells et al., J. Electron Spectrosc. Relat. Phenom. 170, 4 (2009), doi:10.1016/j.elspec.2008.10.008
    """
    return fluence_per_um2 * UM2_PER_CM2 * energy_ev * ELECTRONVOLT_J * mass_attenuation_cm2_g * G_PER_KG


def photons_per_pixel(fluence_per_um2: float, pixel_m: float) -> float:
    """Photons that fall on one square pixel of the object."""
    return fluence_per_um2 * (pixel_m * 1e6) ** 2
