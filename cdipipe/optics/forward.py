"""The forward model: what the detector would see of an object, and the object nearest to what it saw.

    psi_m = P_m (O + U)           exit wave of probe mode m; a plane wave (P = 1) when there are no probe modes
    J     = sum_m |F psi_m|^2     photons, orthonormal F, incoherent sum over modes
    I     = F [mu F^-1 J] + B     partially coherent light (see ``cdipipe.optics.coherence``), and background

U is a known static region beside the object, if there is one; the object O is then that of the sample alone. Without a
coherence width the light is coherent, mu = 1; without a background B = 0.

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
from cdipipe.ops.projection.relax import relax_modulus_
from cdipipe.optics import fourier
from cdipipe.optics.coherence import apply_coherence, degree_of_coherence

ARRAYS = ("probe_modes", "static_region")
LEAST_SHARE = 1e-7
"""Prediction below this share of its maximum is rounding: such pixels are not scaled up."""


@dataclass(frozen=True)
class ForwardModel:
    """Far field, with or without probe modes, a known static region, partial coherence and background.

    Parameters
    ----------
    ndim : 2 or 3
        Axes of one pattern.
    probe_modes : (M, *grid) complex64, optional
        Illumination at the object, centred.
    static_region : (*grid) complex64, optional
        Known structure U beside the object, centred, on the scale of the photons.
    coherence_px : float or tuple of float, optional
        Gaussian Schell width xi on the object's pixels; one for each pattern of a stack where they differ.
    background : float, tuple of float (one per pattern), or (*grid) float32 tensor, centred
        Photons per pixel that do not come from the object.
    """

    ndim: int = 2
    kind: str = "far_field"
    probe_modes: torch.Tensor | None = None
    static_region: torch.Tensor | None = None
    coherence_px: float | tuple[float, ...] | None = None
    background: float | tuple[float, ...] | torch.Tensor = 0.0

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

    def of_pattern(self, index: int) -> ForwardModel:
        """The model of one pattern, where those of a stack differ."""
        model = self
        if self.static_region is not None and self.static_region.ndim > self.ndim:
            model = replace(model, static_region=self.static_region[index])
        for name in ("coherence_px", "background"):
            if isinstance(getattr(self, name), tuple):
                model = replace(model, **{name: getattr(self, name)[index]})
        return model

    def _arrays(self) -> dict[str, torch.Tensor]:
        arrays = {name: getattr(self, name) for name in (*ARRAYS, "background")}
        return {name: array for name, array in arrays.items() if isinstance(array, torch.Tensor)}

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
            intensity = fourier.forward(whole, self.ndim).abs().square()
        else:
            waves = self.probe_modes * whole.unsqueeze(-self.ndim - 1)
            intensity = fourier.forward(waves, self.ndim).abs().square().sum(-self.ndim - 1)
        if self.coherence_px is not None:
            half_mu = degree_of_coherence(tuple(intensity.shape[-self.ndim :]), self.coherence_px, like=intensity)
            intensity = apply_coherence(intensity, half_mu, self.ndim).clamp_(min=0)
        return intensity + self.background

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
        background = self.background
        if isinstance(background, torch.Tensor):
            background = fourier.to_corner(background, self.ndim)
        model = CornerModel(self.ndim, probes, None, self.coherence_px, background)
        if self.static_region is None:
            return model
        # in double precision: the static region may be thousands of times stronger than the object
        static = fourier.to_corner(self.static_region.to(torch.complex128), self.ndim)
        return replace(model, reference=model.propagate(static).to(torch.complex64))

    def to_dict(self) -> dict[str, Any]:
        """Plain data for a file."""
        data: dict[str, Any] = {"kind": self.kind, "ndim": self.ndim}
        if self.coherence_px is not None:
            wide = self.coherence_px
            data["coherence_px"] = list(wide) if isinstance(wide, tuple) else wide
        if isinstance(self.background, torch.Tensor) or self.background:
            data["background"] = list(self.background) if isinstance(self.background, tuple) else self.background
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
        width, background = data.get("coherence_px"), data.get("background", 0.0)
        if isinstance(background, np.ndarray) and background.ndim > 1:
            background = torch.from_numpy(np.ascontiguousarray(background.real, dtype=np.float32))
        width, background = (tuple(v) if _is_row(v) else v for v in (width, background))
        return cls(data.get("ndim", 2), "far_field", **arrays, coherence_px=width, background=background)


def _is_row(value) -> bool:
    return isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.ndim == 1)


@dataclass(frozen=True)
class CornerModel:
    """The forward model on arrays in FFT order; see :class:`ForwardModel`."""

    ndim: int
    probe_modes: torch.Tensor | None = None
    reference: torch.Tensor | None = None
    """(*grid), or (M, *grid) with probe modes: wavefront of the static region alone"""
    coherence_px: float | torch.Tensor | None = None
    """one width, or one for each item of the batches that are passed"""
    background: float | torch.Tensor = 0.0

    @property
    def is_ideal(self) -> bool:
        """Coherent light and no background: the detector sees sum_m |F psi_m|^2."""
        return self.coherence_px is None and not isinstance(self.background, torch.Tensor) and not self.background

    def spread(self, intensity: torch.Tensor) -> torch.Tensor:
        """Intensities (..., *grid) of coherent light as partially coherent light shows them: linear, self-adjoint."""
        if self.coherence_px is None:
            return intensity
        shape = tuple(intensity.shape[-self.ndim :])
        return apply_coherence(intensity, degree_of_coherence(shape, self.coherence_px, like=intensity), self.ndim)

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
        if self.is_ideal:
            ops.project_modulus_(wavefront, modulus, measured, misfit, modes, ndim=self.ndim)
        else:
            self._scale_(wavefront, modulus, measured, misfit)
        return misfit

    def relax_modulus_(self, wavefront, dual, modulus, measured, **steps) -> torch.Tensor:
        """Primal-dual step on wavefronts of the object alone, see :func:`cdipipe.ops.projection.relax.relax_modulus_`.

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
        intensity = intensity if self.probe_modes is None else intensity.sum(-self.ndim - 1)
        return intensity if self.is_ideal else self.spread(intensity).clamp_(min=0).add_(self.background)

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

    def _scale_(self, wavefront, modulus, measured, misfit) -> None:
        """The modulus projection behind partially coherent light and background, in place.

        All modes get the factor sqrt((I - B)+ / I_pc), with the partially coherent intensity I_pc of the iterate
        (Clark et al., Nat. Commun. 3, 993 (2012), doi:10.1038/ncomms1994).
        """
        power = wavefront.abs().square_()
        power = power if self.probe_modes is None else power.sum(-self.ndim - 1)
        seen = self.spread(power).clamp_(min=0)
        axes = tuple(range(-self.ndim, 0))
        excess = ((seen + self.background).sqrt_() - modulus).abs_()
        if measured is not None:
            excess = excess * measured
        misfit.copy_(excess.sum(axes, dtype=torch.float64))
        wanted = (modulus.square() - self.background).clamp_(min=0)
        floor = LEAST_SHARE * seen.amax(axes, keepdim=True)
        factor = torch.where(seen > floor, (wanted / seen.clamp(min=1e-30)).sqrt_(), 1.0)
        if measured is not None:
            factor = torch.where(measured, factor, 1.0)
        wavefront.mul_(factor if self.probe_modes is None else factor.unsqueeze(-self.ndim - 1))
