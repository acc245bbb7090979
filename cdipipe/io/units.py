"""Lengths, energies, angles and times in the units that files give them, to m, eV, degrees and s."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from cdipipe.io.hdf5 import Source, read_attribute

JOULE_PER_EV = 1.602176634e-19

UNITS: dict[str, dict[str, float]] = {
    "length": {
        **dict.fromkeys(("m", "meter", "meters", "metre", "metres"), 1.0),
        **dict.fromkeys(("cm", "centimeter", "centimetre"), 1e-2),
        **dict.fromkeys(("mm", "millimeter", "millimeters", "millimetre", "millimetres"), 1e-3),
        **dict.fromkeys(("um", "µm", "μm", "micron", "microns", "micrometer", "micrometers", "micrometre"), 1e-6),
        **dict.fromkeys(("nm", "nanometer", "nanometers", "nanometre"), 1e-9),
        **dict.fromkeys(("a", "å", "\u212b", "ang", "angstrom", "angstroms", "ångström", "ångstrom"), 1e-10),
        **dict.fromkeys(("pm", "picometer", "picometre"), 1e-12),
    },
    "energy": {"ev": 1.0, "kev": 1e3, "j": 1 / JOULE_PER_EV, "joule": 1 / JOULE_PER_EV, "joules": 1 / JOULE_PER_EV},
    "angle": {
        **dict.fromkeys(("deg", "degree", "degrees", "°"), 1.0),
        **dict.fromkeys(("rad", "radian", "radians"), math.degrees(1.0)),
        **dict.fromkeys(("mrad", "milliradian", "milliradians"), math.degrees(1e-3)),
        **dict.fromkeys(("urad", "µrad", "μrad", "microradian"), math.degrees(1e-6)),
    },
    "time": {
        **dict.fromkeys(("s", "sec", "second", "seconds"), 1.0),
        **dict.fromkeys(("ms", "millisecond", "milliseconds"), 1e-3),
        **dict.fromkeys(("us", "µs", "μs", "microsecond", "microseconds"), 1e-6),
        **dict.fromkeys(("ns", "nanosecond", "nanoseconds"), 1e-9),
        **dict.fromkeys(("ps",), 1e-12),
        **dict.fromkeys(("fs", "femtosecond", "femtoseconds"), 1e-15),
        **dict.fromkeys(("min", "minute", "minutes"), 60.0),
    },
}
"""Unit text in lower case -> its size in m, eV, degrees or s. ``meV`` is told from ``MeV`` before."""


def unit_size(unit: str, kind: str) -> float | None:
    """Size of a unit of this kind in m, eV, degrees or s; None for a text that is no such unit.

    Parameters
    ----------
    kind : ``length``, ``energy``, ``angle`` or ``time``
    """
    text = unit.strip().strip("[]()").strip()
    if kind == "energy" and text in ("MeV", "meV"):
        return 1e6 if text == "MeV" else 1e-3
    return UNITS[kind].get(text.lower())


def scaled(value: float, size: float) -> float:
    """value * size, without the last digits that only the multiplication brought (1120 mm is 1.12 m)."""
    return value if size == 1 else float(f"{value * size:.15g}")


def text_of(value: Any) -> str | None:
    """A text attribute as h5py gives it: bytes, str, or an array of one of them; None for anything else."""
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.item()
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if isinstance(value, str) else None


def unit_of(source: Source, name: str) -> str | None:
    """The ``units`` of a dataset, or None."""
    node = source.get(name)
    unit = None if node is None else read_attribute(node, "units")
    return unit if isinstance(unit, str) else None


def read_quantity(source: Source, name: str, kind: str, default: str, signed: bool = False) -> float | None:
    """One number of an HDF5 file in m, eV, degrees or s.

    Parameters
    ----------
    kind : ``length``, ``energy``, ``angle`` or ``time``
    default : unit where the file names none
    signed : whether it may be negative

    Returns
    -------
    float, or None where it is absent, zero, not finite, or in a unit that is none of this kind
    """
    value = source.number(name, signed)
    if value is None:
        return None
    unit = unit_of(source, name)
    size = unit_size(default if unit is None else unit, kind)
    return None if size is None else scaled(value, size)
