"""What numbers of an experiment can be; those that cannot are questioned, with what was probably meant."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Range:
    """What is plausible for one quantity.

    Parameters
    ----------
    what, unit : for the message
    spans : intervals that are plausible
    slips : factors by which the number would be right, most likely first
    """

    what: str
    unit: str
    spans: tuple[tuple[float, float], ...]
    slips: tuple[float, ...]

    def holds(self, value: float) -> bool:
        return any(low <= abs(value) <= high for low, high in self.spans)


RANGES = {
    "energy_ev": Range(
        "photon energies are 20 eV to 500 keV, or 1.1 to 4.2 eV of a laser",
        "eV",
        ((20.0, 5e5), (1.1, 4.2)),
        (1e3, 1e-3),
    ),
    "distance_m": Range("detectors stand 0.1 mm to 100 m from the sample", "m", ((1e-4, 100.0),), (1e-3, 1e-6)),
    "pixel_m": Range("detector pixels are 1e-7 to 5e-3 m", "m", ((1e-7, 5e-3),), (1e-6, 1e-3, 1e-9)),
    "rocking_step_rad": Range("rocking steps are 1e-8 to 0.1 rad", "rad", ((1e-8, 0.1),), ()),
    "wavelength_m": Range("wavelengths are 1e-12 to 2e-6 m", "m", ((1e-12, 2e-6),), ()),
    "exposure_s": Range("exposures are 1e-16 to 1e6 s", "s", ((1e-16, 1e6),), ()),
}


def doubt(name: str, value: float) -> str | None:
    """Why a value can hardly be meant, in one sentence; None where it can.

    Examples
    --------
    >>> doubt("pixel_m", 55)
    '55 m? detector pixels are 1e-7 to 5e-3 m; did you mean 55e-6'
    """
    known = RANGES[name]
    if known.holds(value):
        return None
    likely = next((factor for factor in known.slips if known.holds(value * factor)), None)
    meant = "" if likely is None else f"; did you mean {_short(value, likely)}"
    return f"{value:g} {known.unit}? {known.what}{meant}"


def _short(value: float, factor: float) -> str:
    """55 micrometres as 55e-6, 1120 millimetres as 1.12."""
    return f"{value:g}{factor:.0e}".replace("1e-0", "e-") if factor < 1e-3 else f"{value * factor:.6g}"
