"""The far field with NumPy and SciPy, for what needs neither gradients nor a GPU, and should not wait for torch.

The same conventions as :mod:`cdipipe.optics.fourier`: orthonormal, object centre and zero frequency at ``N // 2``.
A test holds both against each other.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np


def propagate(exit_wave: np.ndarray, ndim: int) -> np.ndarray:
    """Wavefront on the detector.

    Parameters
    ----------
    exit_wave : (..., *grid) complex, centred
    ndim : number of grid axes, the last ones

    Returns
    -------
    (..., *grid) complex, centred, type of ``exit_wave``; the sum of squared moduli is kept
    """
    from scipy import fft  # loads much

    axes = tuple(range(-ndim, 0))
    waves = fft.fftn(np.fft.ifftshift(exit_wave, axes), axes=axes, norm="ortho", overwrite_x=True)
    return np.fft.fftshift(waves, axes)


def photons(exit_wave: np.ndarray, ndim: int, probe_modes: np.ndarray | None = None) -> np.ndarray:
    """Photons of coherent light, |F O|^2, summed over probe modes that light the object.

    Parameters
    ----------
    exit_wave : (..., *grid) complex, centred; the object where there are probe modes
    ndim : number of grid axes, the last ones
    probe_modes : (M, *grid) complex or None

    Returns
    -------
    (..., *grid) real, centred
    """
    if probe_modes is None:
        return _power(propagate(exit_wave, ndim))
    return sum(_power(propagate(mode * exit_wave, ndim)) for mode in probe_modes)


def _power(wave: np.ndarray) -> np.ndarray:
    return wave.real**2 + wave.imag**2


@dataclass(frozen=True)
class CoherentLight:
    """The forward model of coherent light without a background: a plane wave or a probe, perhaps on a static region.

    What :class:`cdipipe.optics.forward.ForwardModel` says of the same light, without torch.

    Parameters
    ----------
    ndim : 2 or 3
    probe_modes : (M, *grid) complex, centred; None: a plane wave
    static_region : (*grid) complex, centred, beside the object; in a stack (B, *grid) where each pattern has its own
    """

    ndim: int
    probe_modes: np.ndarray | None = None
    static_region: np.ndarray | None = None

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> CoherentLight | None:
        """The model that a result's file tells, if it is one of coherent light without a background.

        Parameters
        ----------
        record : of ``ForwardModel.to_dict``
        """
        known = {"kind", "ndim", "probe_modes", "static_region"}
        if record.get("kind") != "far_field" or record.get("ndim") not in (2, 3) or not set(record) <= known:
            return None
        return cls(record["ndim"], record.get("probe_modes"), record.get("static_region"))

    @property
    def freedom(self) -> str:
        """What one pattern leaves open: ``shift`` (and twin and phase), only a ``phase``, or ``none``."""
        if self.static_region is not None:
            return "none"
        return "shift" if self.probe_modes is None else "phase"

    def of_pattern(self, index: int) -> CoherentLight:
        """The model of one pattern of a stack.

        Parameters
        ----------
        index : of the pattern, from 0
        """
        if self.static_region is None or self.static_region.ndim == self.ndim:
            return self
        return replace(self, static_region=self.static_region[index])

    def without_static(self) -> CoherentLight:
        """The same light on the object alone."""
        return replace(self, static_region=None)

    def static_centred(self) -> np.ndarray | None:
        """(*grid) complex, the static region, centred."""
        return self.static_region

    def photons_of(self, object_: np.ndarray) -> np.ndarray:
        """Photons on the detector, centred, float64.

        Parameters
        ----------
        object_ : (..., *grid) complex, centred
        """
        return photons(self._whole(object_), self.ndim, self.probe_modes)

    def waves_of(self, object_: np.ndarray) -> np.ndarray:
        """Wavefronts on the detector, centred, complex128; with probe modes (..., M, *grid).

        Parameters
        ----------
        object_ : (..., *grid) complex, centred
        """
        whole = self._whole(object_)
        if self.probe_modes is None:
            return propagate(whole, self.ndim)
        return propagate(self.probe_modes * np.expand_dims(whole, -self.ndim - 1), self.ndim)

    def _whole(self, object_: np.ndarray) -> np.ndarray:
        whole = object_.astype(np.complex128)
        return whole if self.static_region is None else whole + self.static_region
