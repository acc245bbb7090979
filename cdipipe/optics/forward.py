"""The forward model: what the detector would see of an object.

    psi_m = P_m (O + U)           exit wave of probe mode m; a plane wave (P = 1) when there are no probe modes
    J     = sum_m |F psi_m|^2     photons, orthonormal F, incoherent sum over modes
    I     = F [mu F^-1 J] + B     partially coherent light (see ``cdipipe.optics.coherence``), and background

U is a known static region beside the object, if there is one; the object O is then that of the sample alone. Without a
coherence width the light is coherent, mu = 1; without a background B = 0.

Simulation, every method and ``evaluate`` use this one record; a reconstruction's file stores it.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from cdipipe.errors import InputError
from cdipipe.measurement import Measurement
from cdipipe.optics import fourier
from cdipipe.optics.coherence import apply_coherence, degree_of_coherence

ARRAYS = ("probe_modes", "static_region")


@dataclass(frozen=True, eq=False)
class ForwardModel:
    """Far field, with or without probe modes, a known static region, partial coherence and background.

    Arrays are in FFT order, as loops keep them: those of the record and those that the methods take and return. What
    has its centre at ``N // 2``, as in files, comes in by :meth:`of_centred`, :meth:`of_measurement` and
    :meth:`from_dict`, and is predicted by :meth:`predict_centred`.

    Parameters
    ----------
    ndim : 2 or 3
        Axes of one pattern.
    probe_modes : (M, *grid) complex64, optional
        Illumination at the object.
    static_region : (*grid) complex64, optional
        Known structure U beside the object, on the scale of the photons; (patterns, *grid) where those of a stack
        differ, see :meth:`of_pattern`.
    coherence_px : float, tensor (B,) or tuple, optional
        Gaussian Schell width xi on the object's pixels: one, one for each item of a batch, or for each pattern.
    background : float, tensor (*grid) or (B, 1, ...), or tuple
        Photons per pixel that do not come from the object: one number, one for each pixel, for each item of a batch,
        or for each pattern.
    """

    ndim: int = 2
    kind: str = "far_field"
    probe_modes: torch.Tensor | None = None
    static_region: torch.Tensor | None = None
    coherence_px: float | torch.Tensor | tuple[float, ...] | None = None
    background: float | torch.Tensor | tuple[float, ...] = 0.0

    @classmethod
    def of_centred(
        cls, ndim: int = 2, probe_modes=None, static_region=None, coherence_px=None, background=0.0
    ) -> ForwardModel:
        """The model of tensors that have their centre at ``N // 2``.

        Parameters
        ----------
        ndim, probe_modes, static_region, coherence_px, background : as of the class, but centred
        """
        arrays = (probe_modes, static_region, background)
        moved = [fourier.to_corner(a, ndim) if isinstance(a, torch.Tensor) else a for a in arrays]
        return cls(ndim, "far_field", *moved[:2], coherence_px, moved[2])

    @classmethod
    def of_measurement(
        cls, pattern: Measurement, use_static_region: bool = True, coherence_px=None, background=0.0
    ) -> ForwardModel:
        """The model of a measurement; of a stack whose static regions differ, with all of them in front.

        Parameters
        ----------
        pattern : one pattern or a stack, with its probe modes and static region
        use_static_region : False: the static region counts as part of the object
        coherence_px, background : as of the class
        """
        arrays = (pattern.probe_modes, pattern.static_region if use_static_region else None)
        tensors = [None if a is None else torch.from_numpy(np.asarray(a, np.complex64)) for a in arrays]
        return cls.of_centred(len(pattern.pattern_shape), *tensors, coherence_px, background)

    @property
    def freedom(self) -> str:
        """What one pattern leaves open: ``shift`` (and twin and phase), only a ``phase``, or ``none``.

        The illumination fixes the place; a known static region fixes the phase as well.
        """
        if self.static_region is not None:
            return "none"
        return "shift" if self.probe_modes is None else "phase"

    @property
    def is_ideal(self) -> bool:
        """Coherent light and no background: the detector sees sum_m |F psi_m|^2."""
        return self.coherence_px is None and not isinstance(self.background, torch.Tensor) and not self.background

    def to(self, device) -> ForwardModel:
        """The same model with its arrays on ``device``.

        Parameters
        ----------
        device : torch device or its name
        """
        return replace(self, **{name: array.to(device) for name, array in self._arrays().items()})

    def _arrays(self) -> dict[str, torch.Tensor]:
        arrays = {name: getattr(self, name) for name in (*ARRAYS, "background")}
        return {name: array for name, array in arrays.items() if isinstance(array, torch.Tensor)}

    def of_pattern(self, index: int) -> ForwardModel:
        """The model of one pattern, where those of a stack differ.

        Parameters
        ----------
        index : of the pattern, from 0
        """
        model = self
        if self.static_region is not None and self.static_region.ndim > self.ndim:
            model = replace(model, static_region=self.static_region[index])
        for name in ("coherence_px", "background"):
            if isinstance(getattr(self, name), tuple):
                model = replace(model, **{name: getattr(self, name)[index]})
        return model

    def with_light(self, coherence_px, background) -> ForwardModel:
        """The same beam and static region in other light; shares what is known of them.

        Parameters
        ----------
        coherence_px, background : as of the class
        """
        other = replace(self, coherence_px=coherence_px, background=background)
        lasting = ("illumination", "divisor", "_static_wavefronts")
        other.__dict__.update({name: value for name, value in self.__dict__.items() if name in lasting})
        return other

    def propagate(self, object_: torch.Tensor, share: float = 1.0) -> torch.Tensor:
        """Wavefronts of the object alone, (..., *grid), or (..., M, *grid) with probe modes; linear.

        Parameters
        ----------
        object_ : (..., *grid) complex
        share : of :func:`cdipipe.ops.fft.share`; anything but 1: by a transform that does not scale, so that
            ``share`` times what is returned is the wavefront
        """
        waves = object_ if self.probe_modes is None else self.probe_modes * object_.unsqueeze(-self.ndim - 1)
        return fourier.forward_corner(waves, self.ndim, share == 1)

    def backpropagate(self, wavefront: torch.Tensor, share: float = 1.0) -> torch.Tensor:
        """Adjoint of :meth:`propagate`.

        Parameters
        ----------
        wavefront : (..., *grid), or (..., M, *grid) with probe modes, complex
        share : anything but 1: of ``share`` times a wavefront, by a transform that does not scale

        Returns
        -------
        (..., *grid) complex
        """
        waves = fourier.inverse_corner(wavefront, self.ndim, share == 1)
        return waves if self.probe_modes is None else (self.probe_modes.conj() * waves).sum(-self.ndim - 1)

    def invert(self, wavefront: torch.Tensor, share: float = 1.0) -> torch.Tensor:
        """The object whose :meth:`propagate` is nearest to given wavefronts (least squares).

        Parameters
        ----------
        wavefront : (..., *grid), or (..., M, *grid) with probe modes, complex
        share : as of :meth:`backpropagate`

        Returns
        -------
        (..., *grid) complex; 0 where no probe mode has light
        """
        waves = self.backpropagate(wavefront, share)
        return waves if self.probe_modes is None else waves.div_(self.divisor)

    @functools.cached_property
    def illumination(self) -> torch.Tensor:
        """sum_m |P_m|^2 of probe modes, (*grid)."""
        return self.probe_modes.abs().square().sum(0)

    @functools.cached_property
    def divisor(self) -> torch.Tensor:
        """The illumination kept above zero, so that exit waves can be divided by it."""
        return self.illumination.clamp(min=1e-6 * float(self.illumination.max()))

    @functools.cached_property
    def _degrees_of_coherence(self) -> dict[tuple, torch.Tensor]:
        return {}

    @functools.cached_property
    def _static_wavefronts(self) -> dict[torch.dtype, torch.Tensor]:
        return {}

    def static_wavefront(self, dtype: torch.dtype = torch.complex64) -> torch.Tensor | None:
        """Wavefronts of the static region alone, (*grid), or (M, *grid) with probe modes; None without one.

        Transformed in double precision: the static region may be thousands of times stronger than the object.

        Parameters
        ----------
        dtype : complex dtype of what is returned
        """
        if self.static_region is None:
            return None
        known = self._static_wavefronts
        if dtype not in known:
            known[dtype] = self.propagate(self.static_region.to(torch.complex128)).to(dtype)
        return known[dtype]

    def wavefront(self, object_: torch.Tensor, share: float = 1.0) -> torch.Tensor:
        """Wavefronts of all that stands in the beam: :meth:`propagate` and that of the static region.

        Parameters
        ----------
        object_ : (..., *grid) complex
        share : as of :meth:`propagate`

        Returns
        -------
        (..., *grid), or (..., M, *grid) with probe modes, complex
        """
        alone = self.propagate(object_, share)
        if self.static_region is None:
            return alone
        return alone.add_(self.static_wavefront(alone.dtype), alpha=1 / share)

    def sum_modes(self, per_mode: torch.Tensor) -> torch.Tensor:
        """A real array of wavefronts, summed over the probe modes if there are any: (..., *grid).

        Parameters
        ----------
        per_mode : (..., *grid), or (..., M, *grid) with probe modes, real
        """
        return per_mode if self.probe_modes is None else per_mode.sum(-self.ndim - 1)

    def per_mode(self, array: torch.Tensor) -> torch.Tensor:
        """An array (..., *grid) with an axis for the probe modes if there are any, to broadcast over wavefronts.

        Parameters
        ----------
        array : (..., *grid)

        Returns
        -------
        (..., *grid), or (..., 1, *grid) with probe modes
        """
        return array if self.probe_modes is None else array.unsqueeze(-self.ndim - 1)

    def spread(self, intensity: torch.Tensor) -> torch.Tensor:
        """Intensities (..., *grid) of coherent light as partially coherent light shows them: linear, self-adjoint.

        Parameters
        ----------
        intensity : (..., *grid) real, photons

        Returns
        -------
        (..., *grid) real, photons
        """
        if self.coherence_px is None:
            return intensity
        shape = tuple(intensity.shape[-self.ndim :])
        known, which = self._degrees_of_coherence, (shape, intensity.dtype, intensity.device)
        if which not in known:
            known[which] = degree_of_coherence(shape, self.coherence_px, like=intensity)
        return apply_coherence(intensity, known[which], self.ndim)

    def detect(self, wavefront: torch.Tensor) -> torch.Tensor:
        """Photons (..., *grid) that the detector sees of wavefronts: modes summed, partly coherent, with background.

        Parameters
        ----------
        wavefront : (..., *grid), or (..., M, *grid) with probe modes, complex
        """
        return self._show(self.sum_modes(wavefront.abs().square()))

    def _show(self, intensity: torch.Tensor) -> torch.Tensor:
        """What the detector sees of the photons of coherent light."""
        return intensity if self.is_ideal else self.spread(intensity).clamp_(min=0).add_(self.background)

    def predict_intensity(self, object_: torch.Tensor) -> torch.Tensor:
        """Photons on the detector of objects (..., *grid) complex: (..., *grid) real.

        One probe mode after another, so that memory does not grow with their number.

        Parameters
        ----------
        object_ : (..., *grid) complex
        """
        if self.probe_modes is None:
            return self.detect(self.wavefront(object_))
        static = self.static_wavefront(object_.dtype)
        intensity = 0.0
        for index, mode in enumerate(self.probe_modes):
            wave = fourier.forward_corner(mode * object_, self.ndim)
            wave = wave if static is None else wave.add_(static[index])
            intensity = intensity + wave.abs().square()
        return self._show(intensity)

    def predict_centred(self, object_: torch.Tensor) -> torch.Tensor:
        """Photons of objects whose centre is at ``N // 2``; so is the zero frequency of the pattern.

        Parameters
        ----------
        object_ : (..., *grid) complex, centred

        Returns
        -------
        (..., *grid) real, photons, centred
        """
        return fourier.to_centre(self.predict_intensity(fourier.to_corner(object_, self.ndim)), self.ndim)

    def photons_of(self, object_: np.ndarray) -> np.ndarray:
        """:meth:`predict_centred` of an array, in double precision.

        Parameters
        ----------
        object_ : (..., *grid) complex, centred
        """
        return self.predict_centred(torch.from_numpy(np.ascontiguousarray(object_, dtype=np.complex128))).numpy()

    def waves_of(self, object_: np.ndarray) -> np.ndarray:
        """:meth:`wavefront` of an array, in double precision, centred on both sides.

        Parameters
        ----------
        object_ : (..., *grid) complex, centred
        """
        centred = torch.from_numpy(np.ascontiguousarray(object_, dtype=np.complex128))
        return fourier.to_centre(self.wavefront(fourier.to_corner(centred, self.ndim)), self.ndim).numpy()

    def static_centred(self) -> np.ndarray | None:
        """(*grid) complex, the static region, centred."""
        return None if self.static_region is None else fourier.to_centre(self.static_region, self.ndim).numpy()

    def without_static(self) -> ForwardModel:
        """The same light on the object alone."""
        return replace(self, static_region=None)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for a file; arrays have their centre at ``N // 2``."""
        data: dict[str, Any] = {"kind": self.kind, "ndim": self.ndim}
        if self.coherence_px is not None:
            wide = self.coherence_px
            data["coherence_px"] = list(wide) if isinstance(wide, tuple) else wide
        if isinstance(self.background, torch.Tensor) or self.background:
            data["background"] = list(self.background) if isinstance(self.background, tuple) else self.background
        centred = {name: fourier.to_centre(array, self.ndim) for name, array in self._arrays().items()}
        return data | {name: array.cpu().numpy() for name, array in centred.items()}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> ForwardModel:
        """Inverse of :meth:`to_dict`.

        Parameters
        ----------
        data : plain data and centred arrays

        Raises
        ------
        InputError   a kind that this version does not know
        """
        if data.get("kind") != "far_field" or data.get("ndim", 2) not in (2, 3):
            raise InputError(
                f"forward model {data.get('kind')!r} of rank {data.get('ndim')!r}; known: far_field, 2 or 3"
            )
        arrays = [data.get(name) for name in ARRAYS]
        arrays = [None if a is None else torch.from_numpy(np.ascontiguousarray(a, dtype=np.complex64)) for a in arrays]
        width, background = data.get("coherence_px"), data.get("background", 0.0)
        if isinstance(background, np.ndarray) and background.ndim > 1:
            background = torch.from_numpy(np.ascontiguousarray(background.real, dtype=np.float32))
        width, background = (tuple(v) if _is_row(v) else v for v in (width, background))
        return cls.of_centred(data.get("ndim", 2), *arrays, width, background)


def _is_row(value) -> bool:
    return isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.ndim == 1)
