"""The forward model: what the detector would see of an object, and the object nearest to what it saw.

    psi_m = P_m (O + U)        exit wave of probe mode m; a plane wave (P = 1) when there are no probe modes
    I     = sum_m |F psi_m|^2  photons, orthonormal F, incoherent sum over modes

U is a known static region beside the object, if there is one; the object O is then that of the sample alone.

Every method and ``evaluate`` use this one record; a reconstruction's file stores it.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from cdipipe.errors import InputError
from cdipipe.ops import projection as ops
from cdipipe.ops.projection_relax import relax_modulus_
from cdipipe.optics import fourier

ARRAYS = ("probe_modes", "static_region")


@dataclass(frozen=True)
class ForwardModel:
    """Far field, with or without incoherent probe modes and a known static region.

    Parameters
    ----------
    ndim : 2 or 3
        Axes of one pattern.
    probe_modes : (M, *grid) complex64, optional
        Illumination at the object, centred.
    static_region : (*grid) complex64, optional
        Known structure U beside the object, centred, on the scale of the photons.
    """

    ndim: int = 2
    kind: str = "far_field"
    probe_modes: torch.Tensor | None = None
    static_region: torch.Tensor | None = None

    @property
    def freedom(self) -> str:
        """What one pattern leaves open: ``shift`` (and twin and phase), only a ``phase``, or ``none``.

        The illumination fixes the place; a known static region fixes the phase as well.
        """
        if self.static_region is not None:
            return "none"
        return "shift" if self.probe_modes is None else "phase"

    def to(self, device) -> ForwardModel:
        """The same model with its arrays on ``device``."""
        return replace(self, **{name: array.to(device) for name, array in self._arrays().items()})

    def _arrays(self) -> dict[str, torch.Tensor]:
        arrays = {name: getattr(self, name) for name in ARRAYS}
        return {name: array for name, array in arrays.items() if array is not None}

    def predict_intensity(self, object_: torch.Tensor) -> torch.Tensor:
        """Photons on the detector.

        Parameters
        ----------
        object_ : (..., *grid) complex, centred

        Returns
        -------
        (..., *grid) real, zero frequency centred
        """
        whole = object_ if self.static_region is None else object_ + self.static_region
        if self.probe_modes is None:
            return fourier.forward(whole, self.ndim).abs().square()
        waves = self.probe_modes * whole.unsqueeze(-self.ndim - 1)
        return fourier.forward(waves, self.ndim).abs().square().sum(-self.ndim - 1)

    def project_modulus(self, object_: torch.Tensor, intensity: torch.Tensor, measured=None) -> torch.Tensor:
        """The object whose pattern has the measured moduli, phases kept (P_M); unmeasured pixels keep their value.

        With probe modes the corrected exit waves are brought back to one object by least squares; pixels that no
        mode illuminates keep their value.

        Parameters
        ----------
        object_ : (..., *grid) complex64, centred
        intensity : (*grid) or (..., *grid) float32, photons, centred
        measured : bool, broadcast like ``intensity``; None: every pixel
        """
        modulus = fourier.to_corner(intensity.clamp(min=0).sqrt(), self.ndim)
        trusted = None if measured is None else fourier.to_corner(measured, self.ndim)
        corner, _ = self.corner().project_modulus(fourier.to_corner(object_, self.ndim), modulus, trusted)
        return fourier.to_centre(corner, self.ndim)

    def corner(self) -> CornerModel:
        """The same model for loops that keep arrays in FFT order."""
        probes = None if self.probe_modes is None else fourier.to_corner(self.probe_modes, self.ndim)
        model = CornerModel(self.ndim, probes)
        if self.static_region is None:
            return model
        # in double precision: the static region may be thousands of times stronger than the object
        static = fourier.to_corner(self.static_region.to(torch.complex128), self.ndim)
        return replace(model, reference=model.propagate(static).to(torch.complex64))

    def to_dict(self) -> dict[str, Any]:
        """Plain data for a file."""
        data: dict[str, Any] = {"kind": self.kind, "ndim": self.ndim}
        return data | {name: array.cpu().numpy() for name, array in self._arrays().items()}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> ForwardModel:
        """Inverse of :meth:`to_dict`.

        Raises
        ------
        InputError   a kind that this version does not know
        """
        if data.get("kind") != "far_field" or data.get("ndim", 2) not in (2, 3):
            raise InputError(
                f"forward model {data.get('kind')!r} of rank {data.get('ndim')!r}; known: far_field, 2 or 3"
            )
        arrays = {name: data.get(name) for name in ARRAYS}
        arrays = {
            name: None if array is None else torch.from_numpy(np.ascontiguousarray(array, dtype=np.complex64))
            for name, array in arrays.items()
        }
        return cls(data.get("ndim", 2), "far_field", **arrays)


@dataclass(frozen=True)
class CornerModel:
    """The forward model on arrays in FFT order; see :class:`ForwardModel`."""

    ndim: int
    probe_modes: torch.Tensor | None = None
    reference: torch.Tensor | None = None
    """(*grid), or (M, *grid) with probe modes: wavefront of the static region alone"""

    def propagate(self, object_: torch.Tensor) -> torch.Tensor:
        """Wavefronts of the object alone, (..., *grid), or (..., M, *grid) with probe modes; linear."""
        if self.probe_modes is None:
            return fourier.forward_corner(object_, self.ndim)
        return fourier.forward_corner(self.probe_modes * object_.unsqueeze(-self.ndim - 1), self.ndim)

    def wavefront(self, object_: torch.Tensor) -> torch.Tensor:
        """Wavefronts of all that stands in the beam: :meth:`propagate` and that of the static region."""
        alone = self.propagate(object_)
        return alone if self.reference is None else alone.add_(self.reference)

    def backpropagate(self, wavefront: torch.Tensor) -> torch.Tensor:
        """Adjoint of :meth:`propagate`."""
        waves = fourier.inverse_corner(wavefront, self.ndim)
        return waves if self.probe_modes is None else (self.probe_modes.conj() * waves).sum(-self.ndim - 1)

    @functools.cached_property
    def illumination(self) -> torch.Tensor:
        """sum_m |P_m|^2 of probe modes, (*grid), kept above zero so that it can be divided by."""
        power = self.probe_modes.abs().square().sum(0)
        return power.clamp(min=1e-6 * float(power.max()))

    def invert(self, wavefront: torch.Tensor) -> torch.Tensor:
        """The object whose :meth:`propagate` is nearest to given wavefronts (least squares)."""
        waves = self.backpropagate(wavefront)
        return waves if self.probe_modes is None else waves.div_(self.illumination)

    def misfit(self, object_, modulus, measured) -> torch.Tensor:
        """sum_measured |A - modulus| of a batch (B, *grid), (B,) float64."""
        return self._replace_modulus(self.wavefront(object_), modulus, measured)

    def _replace_modulus(self, wavefront, modulus, measured) -> torch.Tensor:
        """Modulus projection on the detector, in place; returns the misfit before it."""
        modes = self.probe_modes is not None
        shape = wavefront.shape[: wavefront.ndim - self.ndim - modes]
        misfit = torch.empty(shape, dtype=torch.float64, device=wavefront.device)
        ops.project_modulus_(wavefront, modulus, measured, misfit, modes, ndim=self.ndim)
        return misfit

    def relax_modulus_(self, wavefront, dual, modulus, measured, **steps) -> torch.Tensor:
        """Primal-dual step on wavefronts of the object alone, see :func:`cdipipe.ops.projection_relax.relax_modulus_`.

        Returns
        -------
        (B,) float64: sum_measured |A - modulus| of what the modulus was imposed on
        """
        modes = self.probe_modes is not None
        shape = wavefront.shape[: wavefront.ndim - self.ndim - modes]
        misfit = torch.empty(shape, dtype=torch.float64, device=wavefront.device)
        relax_modulus_(
            wavefront, dual, modulus, measured, misfit, reference=self.reference, modes=modes, ndim=self.ndim, **steps
        )
        return misfit

    def predict_intensity(self, object_: torch.Tensor) -> torch.Tensor:
        """As :meth:`ForwardModel.predict_intensity`."""
        intensity = self.wavefront(object_).abs().square_()
        return intensity if self.probe_modes is None else intensity.sum(-self.ndim - 1)

    def project_modulus(self, object_, modulus, measured) -> tuple[torch.Tensor, torch.Tensor]:
        """P_M of a batch (B, *grid) and its misfit sum_measured |A - modulus| per item, (B,) float64."""
        wavefront = self.wavefront(object_)
        misfit = self._replace_modulus(wavefront, modulus, measured)
        if self.reference is not None:
            wavefront -= self.reference
        waves = fourier.inverse_corner(wavefront, self.ndim)
        if self.probe_modes is None:
            return waves, misfit
        correction = (self.probe_modes.conj() * (waves - self.probe_modes * object_.unsqueeze(-self.ndim - 1))).sum(
            -self.ndim - 1
        )
        return object_ + correction / self.illumination, misfit
