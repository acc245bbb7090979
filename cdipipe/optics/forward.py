"""The forward model: what the detector would see of an object, and the object nearest to what it saw.

    psi_m = P_m O             exit wave of probe mode m; a plane wave (P = 1) when there are no probe modes
    I     = sum_m |F psi_m|^2  photons, orthonormal F, incoherent sum over modes

Every method and ``evaluate`` use this one record; a reconstruction's file stores it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from cdipipe.errors import InputError
from cdipipe.ops import projection as ops
from cdipipe.optics import fourier


@dataclass(frozen=True)
class ForwardModel:
    """Far field, with or without incoherent probe modes.

    Parameters
    ----------
    ndim : 2 or 3
        Axes of one pattern.
    probe_modes : (M, *grid) complex64, optional
        Illumination at the object, centred.
    """

    ndim: int = 2
    kind: str = "far_field"
    probe_modes: torch.Tensor | None = None

    def to(self, device) -> ForwardModel:
        """The same model with its arrays on ``device``."""
        probe_modes = None if self.probe_modes is None else self.probe_modes.to(device)
        return ForwardModel(self.ndim, self.kind, probe_modes)

    def predict_intensity(self, object_: torch.Tensor) -> torch.Tensor:
        """Photons on the detector.

        Parameters
        ----------
        object_ : (..., *grid) complex, centred

        Returns
        -------
        (..., *grid) real, zero frequency centred
        """
        if self.probe_modes is None:
            return fourier.forward(object_, self.ndim).abs().square()
        waves = self.probe_modes * object_.unsqueeze(-self.ndim - 1)
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
        return CornerModel(self.ndim, probes)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for a file."""
        data: dict[str, Any] = {"kind": self.kind, "ndim": self.ndim}
        if self.probe_modes is not None:
            data["probe_modes"] = self.probe_modes.cpu().numpy()
        return data

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
        probes = data.get("probe_modes")
        probes = None if probes is None else torch.from_numpy(np.ascontiguousarray(probes, dtype=np.complex64))
        return cls(data.get("ndim", 2), "far_field", probes)


@dataclass(frozen=True)
class CornerModel:
    """The forward model on arrays in FFT order; see :class:`ForwardModel`."""

    ndim: int
    probe_modes: torch.Tensor | None = None

    def propagate(self, object_: torch.Tensor) -> torch.Tensor:
        """Wavefronts (..., *grid), or (..., M, *grid) with probe modes."""
        if self.probe_modes is None:
            return fourier.forward_corner(object_, self.ndim)
        return fourier.forward_corner(self.probe_modes * object_.unsqueeze(-self.ndim - 1), self.ndim)

    def backpropagate(self, wavefront: torch.Tensor) -> torch.Tensor:
        """Adjoint of :meth:`propagate`."""
        waves = fourier.inverse_corner(wavefront, self.ndim)
        return waves if self.probe_modes is None else (self.probe_modes.conj() * waves).sum(-self.ndim - 1)

    def predict_intensity(self, object_: torch.Tensor) -> torch.Tensor:
        """As :meth:`ForwardModel.predict_intensity`."""
        intensity = self.propagate(object_).abs().square_()
        return intensity if self.probe_modes is None else intensity.sum(-self.ndim - 1)

    def project_modulus(self, object_, modulus, measured) -> tuple[torch.Tensor, torch.Tensor]:
        """P_M of a batch (B, *grid) and its misfit sum_measured |A - modulus| per item, (B,) float64."""
        wavefront = self.propagate(object_)
        misfit = torch.empty(object_.shape[: -self.ndim], dtype=torch.float64, device=object_.device)
        ops.project_modulus_(wavefront, modulus, measured, misfit, self.probe_modes is not None, ndim=self.ndim)
        waves = fourier.inverse_corner(wavefront, self.ndim)
        if self.probe_modes is None:
            return waves, misfit
        power = self.probe_modes.abs().square().sum(0)
        correction = (self.probe_modes.conj() * (waves - self.probe_modes * object_.unsqueeze(-self.ndim - 1))).sum(
            -self.ndim - 1
        )
        return object_ + correction / power.clamp(min=1e-6 * float(power.max())), misfit
