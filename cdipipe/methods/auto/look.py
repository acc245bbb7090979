"""What a measurement is, as far as the choice of a method depends on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cdipipe.io.describe import estimate_object_extent
from cdipipe.measurement import Measurement

CENTRE_RINGS = 2.5
"""Pixels around the zero frequency that count as the centre."""

FEW_PX = 7
"""Estimated extent of an object, which is about two thirds of the true one."""


@dataclass(frozen=True)
class Look:
    """What was seen.

    Parameters
    ----------
    stack, patterns : as of the measurement
    pixels : of a pattern
    photons : of a pattern, the median over those with light
    centre_missing : pixels around the zero frequency that were not measured
    masked_share : of all pixels
    static : ``known``, ``place known`` or ``none``
    probe : whether the illumination is known
    compact : of volumes: whether the object takes more than a few voxels and at most half the array along every axis
    """

    stack: str
    patterns: int
    pixels: int
    photons: float
    centre_missing: int
    masked_share: float
    static: str
    probe: bool
    compact: bool

    @property
    def is_volume(self) -> bool:
        return self.stack == "volume"

    def words(self) -> str:
        """One line."""
        kind = {"single": "one pattern", "volume": "a volume", "shots": f"{self.patterns} shots"}
        parts = [kind.get(self.stack, f"a movie of {self.patterns} frames"), f"{self.photons:.2g} photons each"]
        parts += [f"{self.centre_missing} pixels of the centre missing"] * (self.centre_missing > 0)
        parts += [f"{100 * self.masked_share:.0f} % masked"] * (self.masked_share >= 0.005)
        parts += ["in a known probe"] * self.probe
        parts += [f"beside a static structure ({self.static})"] * (self.static != "none")
        return ", ".join(parts)


def look_at(measurement: Measurement) -> Look:
    """See what a measurement is.

    Parameters
    ----------
    measurement : Measurement
    """
    ndim = len(measurement.pattern_shape)
    counts = np.where(measurement.measured, measurement.intensity, 0)
    each = counts.reshape(measurement.pattern_count, -1).sum(1, dtype=np.float64)
    lit = each[each > 0]
    seen = measurement.measured if measurement.measured.ndim == ndim else measurement.measured.all(0)
    axes = np.meshgrid(*(np.arange(n) - n // 2 for n in seen.shape), indexing="ij")
    centre = sum(axis.astype(float) ** 2 for axis in axes) <= CENTRE_RINGS**2
    static = "known" if measurement.static_region is not None else "none"
    if static == "none" and measurement.known_static_support is not None:
        static = "place known"
    return Look(
        measurement.stack,
        measurement.pattern_count,
        seen.size,
        float(np.median(lit)) if lit.size else 0.0,
        int((centre & ~seen).sum()),
        float(1 - measurement.measured.mean()),
        static,
        measurement.probe_modes is not None,
        measurement.stack == "volume"
        and all(extent is not None and extent >= FEW_PX for extent in estimate_object_extent(counts, seen)),
    )
