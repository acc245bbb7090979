"""The unstrained lattice that strain is told against."""

from __future__ import annotations

from dataclasses import dataclass

from cdipipe.optics.lattice import Lattice, get_lattice, parse_hkl


@dataclass(frozen=True)
class Reference:
    """A reflection of a lattice.

    Parameters
    ----------
    lattice : Lattice
    hkl : reflection
    """

    lattice: Lattice
    hkl: tuple[int, int, int]

    @property
    def d_nm(self) -> float:
        """Distance of the lattice planes."""
        return self.lattice.spacing_nm(self.hkl)

    def check(self, d_nm: float) -> None:
        """Compare a measured spacing of lattice planes with that of the reference.

        Parameters
        ----------
        d_nm : measured spacing, nm

        Raises
        ------
        InputError   it cannot be that of the reference; the message says what fits
        """
        self.lattice.check(d_nm, self.hkl)


def parse_reference(lattice: str | None, hkl: str) -> Reference | None:
    """The reference of ``--lattice`` (see :func:`cdipipe.optics.lattice.get_lattice`) and ``--hkl`` (``1,1,1``).

    Parameters
    ----------
    lattice : a material, or its cell in nm; None: no reference
    hkl : indices of the reflection as text

    Returns
    -------
    Reference, or None without a lattice

    Raises
    ------
    InputError   no such material or cell, or no three whole numbers
    """
    return None if lattice is None else Reference(get_lattice(lattice), parse_hkl(hkl))
