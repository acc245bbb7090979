"""Lattices of common cubic materials, and what the spacing of a reflection should be."""

from __future__ import annotations

from dataclasses import dataclass

from cdipipe.errors import InputError

CUBIC_NM = {
    "Ag": 0.40853,
    "Al": 0.40495,
    "Au": 0.40782,
    "Cu": 0.36149,
    "Fe": 0.28665,
    "Ni": 0.35240,
    "Pb": 0.49508,
    "Pd": 0.38907,
    "Pt": 0.39242,
    "Si": 0.54310,
    "W": 0.31652,
}
"""Lattice parameters in nm at 25 degrees C, rounded to 1e-5 nm (Wyckoff, Crystal Structures; Si: CODATA)."""

FAR_OFF = 0.02
"""Relative difference of a measured spacing from its reference above which the reference is taken as wrong."""


@dataclass(frozen=True)
class Reference:
    """The unstrained lattice that strain is told against.

    Parameters
    ----------
    a_nm : cubic lattice parameter
    hkl : reflection
    name : of the material, or empty
    """

    a_nm: float
    hkl: tuple[int, int, int]
    name: str = ""

    @property
    def d_nm(self) -> float:
        """Distance of the planes, a / sqrt(h^2 + k^2 + l^2)."""
        return self.a_nm / sum(index**2 for index in self.hkl) ** 0.5


def parse_reference(lattice: str | None, hkl: str) -> Reference | None:
    """The reference of ``--lattice`` (a name such as ``Au``, or a parameter in nm) and ``--hkl`` (``1,1,1``).

    Raises
    ------
    InputError   an unknown material, or indices that are none
    """
    if lattice is None:
        return None
    try:
        indices = tuple(int(part) for part in hkl.replace(" ", ",").split(",") if part)
    except ValueError:
        indices = ()
    if len(indices) != 3 or not any(indices):
        raise InputError(f"--hkl {hkl}: expected three whole numbers such as 1,1,1")
    name = lattice.capitalize()
    if name in CUBIC_NM:
        return Reference(CUBIC_NM[name], indices, name)
    try:
        a_nm = float(lattice)
    except ValueError:
        known = ", ".join(CUBIC_NM)
        raise InputError(f"--lattice {lattice}: expected a parameter in nm, or one of {known}") from None
    if not 0.1 < a_nm < 10:
        raise InputError(f"--lattice {lattice}: expected a lattice parameter in nm, such as 0.40782")
    return Reference(a_nm, indices)


def check_reference(reference: Reference, d_nm: float) -> None:
    """Raise InputError where a measured spacing cannot be that of the reference; the message says what fits."""
    if abs(d_nm / reference.d_nm - 1) <= FAR_OFF:
        return
    label = f"{reference.name or f'{reference.a_nm:g} nm'} ({','.join(map(str, reference.hkl))})"
    raise InputError(
        f"--lattice: the measured spacing is {d_nm:.5f} nm, but {label} has {reference.d_nm:.5f} nm; "
        f"it would fit {_what_fits(d_nm)}; else check energy, distance and angles"
    )


def _what_fits(d_nm: float) -> str:
    low = [(1, 1, 1), (2, 0, 0), (2, 2, 0), (3, 1, 1), (2, 2, 2), (4, 0, 0), (1, 1, 0), (2, 1, 1)]
    fits = [
        f"{name} ({','.join(map(str, hkl))})"
        for name, a_nm in CUBIC_NM.items()
        for hkl in low
        if abs(d_nm / Reference(a_nm, hkl).d_nm - 1) < FAR_OFF / 4
    ]
    return ", ".join(fits[:4]) or "no common metal"
