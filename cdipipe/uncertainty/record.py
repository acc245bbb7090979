"""What is known of the errors of a result, as a plain record; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cdipipe.geometry import Geometry

MAP_OF = {"complex": "error_90", "amplitude": "amplitude_90", "phase": "phase_90"}
"""The map of 90 % intervals for each kind of error."""


@dataclass(frozen=True)
class Uncertainty:
    """Error bars of a result, on its grid; maps are float32 and NaN outside the support.

    Parameters
    ----------
    object, support : of the result
    maps : name -> (*grid)
        ``error_90``: the true value lies in a disc of this radius about the result's in 90 % of the pixels, in
        sqrt(photons); ``amplitude_90`` likewise and ``phase_90`` in rad: half widths of 90 % intervals; ``noise`` and
        ``restarts``: root mean square spread of the replicas, in sqrt(photons). Of a rocking curve
        ``displacement_90`` in nm, and ``strain_noise``, the spread of the strain along Q over replicas.
    freedom : what the pattern leaves open: ``shift``, ``phase`` or ``none``
    """

    object: np.ndarray
    support: np.ndarray
    stack: str
    maps: dict[str, np.ndarray]
    freedom: str
    choices: dict[str, Any]
    geometry: Geometry = field(default_factory=Geometry)
    provenance: dict[str, Any] = field(default_factory=dict)

    def medians(self) -> dict[str, float]:
        """The median of each map inside the support; those of amplitudes are relative to the typical amplitude."""
        own, found = ("phase_90", "displacement_90", "strain_noise"), {}
        for name, values in self.maps.items():
            known = values[np.isfinite(values)]
            if known.size and name in own:
                found[name] = float(np.median(known))
            elif known.size:
                typical = np.sqrt(np.mean(np.abs(self.object[self.support]) ** 2))
                found[f"{name}_relative"] = float(np.median(known) / typical)
        return found
