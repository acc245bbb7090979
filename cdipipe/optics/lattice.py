"""Lattices of reference: the spacing of lattice planes, and which reflection a measured one is."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from cdipipe.errors import InputError
from cdipipe.settings import unknown_name

LATTICES_FILE = Path(__file__).with_name("lattices.yaml")
FAR_OFF = 0.02
"""Relative difference of spacings beyond which the lattice or the reflection must be another one."""


SYMBOLS = {"Al": "aluminium", "Cu": "copper", "Au": "gold", "Fe": "iron", "Ni": "nickel", "Pd": "palladium"}
SYMBOLS |= {"Pt": "platinum", "Ag": "silver", "Si": "silicon", "Ge": "germanium"}
LOW_INDICES = ((1, 1, 1), (2, 0, 0), (2, 2, 0), (3, 1, 1), (2, 2, 2), (4, 0, 0), (1, 1, 0), (2, 1, 1))


@dataclass(frozen=True)
class Lattice:
    """A crystal lattice at room temperature.

    Parameters
    ----------
    name : for messages
    a_nm, b_nm, c_nm : lengths of the cell's edges
    alpha_deg, beta_deg, gamma_deg : angles between b and c, a and c, a and b
    """

    name: str
    a_nm: float
    b_nm: float
    c_nm: float
    alpha_deg: float = 90.0
    beta_deg: float = 90.0
    gamma_deg: float = 90.0

    @property
    def cell_nm(self) -> np.ndarray:
        """Edges of the cell as columns (3, 3): a along x, b in the plane of x and y."""
        alpha, beta, gamma = np.radians([self.alpha_deg, self.beta_deg, self.gamma_deg])
        along_y = (np.cos(alpha) - np.cos(beta) * np.cos(gamma)) / np.sin(gamma)
        c = np.array([np.cos(beta), along_y, np.sqrt(1 - np.cos(beta) ** 2 - along_y**2)])
        a, b = np.array([1.0, 0.0, 0.0]), np.array([np.cos(gamma), np.sin(gamma), 0.0])
        return np.column_stack([self.a_nm * a, self.b_nm * b, self.c_nm * c])

    @property
    def reciprocal_per_nm(self) -> np.ndarray:
        """Reciprocal vectors as columns (3, 3), with 2 pi: q = reciprocal @ (h, k, l)."""
        return 2 * np.pi * np.linalg.inv(self.cell_nm).T

    def spacing_nm(self, hkl: Sequence[int]) -> float:
        """Distance of the lattice planes (h, k, l).

        Parameters
        ----------
        hkl : three indices, not all zero

        Returns
        -------
        float, nm

        Raises
        ------
        InputError   all indices are zero
        """
        if not any(hkl):
            raise InputError("reflection 0,0,0 has no lattice planes; give h,k,l such as 1,1,1")
        return float(2 * np.pi / np.linalg.norm(self.reciprocal_per_nm @ np.asarray(hkl, dtype=float)))

    def check(self, spacing_nm: float, hkl: Sequence[int]) -> float:
        """Relative difference of a measured spacing from that of (h, k, l).

        Parameters
        ----------
        spacing_nm : measured spacing, nm
        hkl : indices of the reflection

        Returns
        -------
        float, (measured - expected) / expected

        Raises
        ------
        InputError   they differ by more than 2 %: another lattice or reflection, or a wrong geometry
        """
        expected = self.spacing_nm(hkl)
        off = spacing_nm / expected - 1
        if abs(off) > FAR_OFF:
            shown = "".join(map(str, hkl))
            raise InputError(
                f"lattice planes {spacing_nm:.5g} nm apart are not {shown} of {self.name} ({expected:.5g} nm): they "
                f"would fit {what_fits(spacing_nm)}; else check the energy and the detector's angles"
            )
        return off


def what_fits(spacing_nm: float) -> str:
    """Cubic materials and reflections whose planes are as far apart, nearest first, as text.

    Parameters
    ----------
    spacing_nm : measured spacing, nm

    Returns
    -------
    text of four at most, such as ``gold (1,1,1)``
    """
    off = {
        f"{name} ({','.join(map(str, hkl))})": abs(spacing_nm / lattice.spacing_nm(hkl) - 1)
        for name, lattice in read_lattices().items()
        for hkl in LOW_INDICES
    }
    fits = [label for label in sorted(off, key=off.__getitem__) if off[label] < FAR_OFF / 4]
    return ", ".join(fits[:4]) or "no material that is known here"


def parse_hkl(text: str) -> tuple[int, int, int]:
    """Read the indices of a reflection.

    Parameters
    ----------
    text : three whole numbers, not all zero, such as ``1,1,1``

    Raises
    ------
    InputError   anything else
    """
    try:
        indices = tuple(int(part) for part in text.replace(" ", ",").split(",") if part)
    except ValueError:
        indices = ()
    if len(indices) != 3 or not any(indices):
        raise InputError(f"--hkl {text}: expected three whole numbers such as 1,1,1")
    return indices


def rotation_to_z(direction: Sequence[float]) -> np.ndarray:
    """A rotation (3, 3) that carries a direction to z; x is the nearest coordinate axis made orthogonal to it.

    Of ``hkl`` it leads from the axes of a cubic crystal to the crystal frame.

    Parameters
    ----------
    direction : (3,), not zero

    Returns
    -------
    (3, 3) float64, rows x, y, z
    """
    along = np.asarray(direction, float) / np.linalg.norm(direction)
    other = np.eye(3)[np.argmin(np.abs(along))]
    x = other - (other @ along) * along
    x /= np.linalg.norm(x)
    return np.stack([x, np.cross(along, x), along])


@functools.cache
def read_lattices() -> dict[str, Lattice]:
    """Lattices of ``lattices.yaml`` by name."""
    known = yaml.safe_load(LATTICES_FILE.read_text())
    return {name: _cell(name, entry["cell_nm"]) for name, entry in known.items()}


def _cell(name: str, numbers: Sequence[float]) -> Lattice:
    """One length of a cube, a and c of a tetragonal cell, or six numbers."""
    if len(numbers) == 1:
        return Lattice(name, numbers[0], numbers[0], numbers[0])
    if len(numbers) == 2:
        return Lattice(name, numbers[0], numbers[0], numbers[1])
    return Lattice(name, *numbers)


def get_lattice(name: str) -> Lattice:
    """A lattice by the name of its material, or by its cell in nm: ``0.40782``, ``a,c`` or ``a,b,c,alpha,beta,gamma``.

    Parameters
    ----------
    name : of a material such as ``gold`` or ``Au``, or numbers in nm and degrees

    Raises
    ------
    InputError   no such material, or no cell
    """
    known = read_lattices()
    if name.lower() in known:
        return known[name.lower()]
    if name in SYMBOLS:
        return known[SYMBOLS[name]]
    try:
        numbers = [float(part) for part in str(name).split(",")]
    except ValueError:
        raise unknown_name("material", name, known) from None
    lengths, angles = numbers[: 3 if len(numbers) == 6 else 2], numbers[3:]
    if len(numbers) not in (1, 2, 6) or not all(0.1 < length < 10 for length in lengths):
        raise InputError(
            f"lattice {name}: expected a material, or nm such as 0.40782, or a,c or a,b,c,alpha,beta,gamma"
        )
    if angles and not (all(20 < angle < 160 for angle in angles) and sum(angles) < 360):
        raise InputError(f"lattice {name}: angles of a cell are between 20 and 160 degrees")
    return _cell(str(name), numbers)
