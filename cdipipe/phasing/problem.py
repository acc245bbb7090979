"""One pattern made ready for iterating: on the device, in FFT order, with the recipe's object constraint."""

from __future__ import annotations

import copy
import functools
from functools import partial

import numpy as np
import torch

from cdipipe.errors import InputError
from cdipipe.measurement import Measurement
from cdipipe.ops import projection as ops
from cdipipe.ops.projection import iterate
from cdipipe.optics import fourier, moduli
from cdipipe.optics.coherence_fit import fit_width
from cdipipe.optics.forward import ForwardModel
from cdipipe.phasing.scores import Counts, score_objects


class Projections:
    """The two projections of a batch of objects (B, *grid) and their misfit, as methods that iterate ask for them.

    Whoever derives has ``model``, ``modulus`` and ``measured`` in FFT order, of one pattern or of each item of a batch,
    ``modulus_sum`` of the measured pixels, ``constraint`` and ``phase_range_rad``; and ``update_object_``.
    """

    @property
    def coherence_px(self):
        """Width of partial coherence: None, one, or one for each item of a batch as a tensor (B,)."""
        return self.model.coherence_px

    def impose_modulus(self, exit_wave):
        """P_M u of a batch (B, *grid), and the R-factor (B,) of u on the measured pixels."""
        projected, misfit = moduli.impose_modulus(self.model, exit_wave, self.modulus, self.measured)
        return projected, misfit / self.modulus_sum

    def iterate_(self, exit_wave, support, *, a, b, c, g):
        """One object update with P_M u, in place: the next exit wave, P_M u, and the R-factor (B,) of u."""
        rule = {"constraint": self.constraint, "phase_range_rad": self.phase_range_rad, "a": a, "b": b, "c": c, "g": g}
        model, modulus, measured = self.model, self.modulus, self.measured
        if model.is_ideal and model.probe_modes is None and model.static_region is None:
            misfit = moduli.empty_misfit(model, exit_wave)
            projected = iterate.iterate_(exit_wave, modulus, measured, support, misfit, ndim=model.ndim, **rule)
        else:
            projected, misfit = moduli.impose_modulus(model, exit_wave, modulus, measured)
            ops.update_object_(exit_wave, projected, support, **rule)
        return exit_wave, projected, misfit / self.modulus_sum

    def relax_modulus_(self, wavefront, dual, **steps):
        """Primal-dual step on wavefronts of the object alone, in place; R-factor (B,) of what it was made from.

        ``t``, ``s``, ``softness``, ``keep``, ``low_pass`` and ``scale`` as in
        :func:`cdipipe.ops.projection.relax.relax_modulus_`.
        """
        misfit = moduli.relax_modulus_(self.model, wavefront, dual, self.modulus, self.measured, **steps)
        return misfit / self.modulus_sum

    def r_factor(self, exit_wave):
        """R-factor (B,) of a batch (B, *grid) on the measured pixels; one transform."""
        return moduli.modulus_misfit(self.model, exit_wave, self.modulus, self.measured) / self.modulus_sum

    def project_object(self, exit_wave, support):
        """P_S u: the nearest object inside the support that satisfies the constraint; a new tensor."""
        return ops.project_object(exit_wave, support, self.constraint, self.phase_range_rad)

    def subtract_projection_(self, exit_wave, support):
        """u - P_S u in place: what keeps u from being an object inside the support that satisfies the constraint."""
        return ops.subtract_projection_(exit_wave, support, self.constraint, self.phase_range_rad)


class Problem(Projections):
    """What methods see of a measurement: two projections and the scores.

    Parameters
    ----------
    pattern : Measurement of stack ``single`` or ``volume``
    constraint, phase_range_rad : the object constraint, see ``Recipe``
    device : torch device
    free_pixels : (*grid) bool, optional, centred
        Measured pixels that the reconstruction must not see.
    use_static_region : bool
        Whether a static region that the measurement knows is part of the forward model; the object is then that of the
        sample alone.
    coherence_px, background : the detector's part of the forward model, see ``ForwardModel``

    Attributes
    ----------
    model : ForwardModel
    intensity : (*grid) float32 in FFT order, photons
    measured : (*grid) bool in FFT order: measured, and not withheld
    free : (*grid) bool in FFT order: measured but withheld from the method; None where nothing is
    static_content, static_support : (*grid) complex64 and bool in FFT order, or None
        The structure beside the object as the measurement tells it, used by the model or not, and its place.
    object_support : (*grid) bool in FFT order, or None
        What is known beforehand of the support of the object in this model.
    update_object_ : ``(exit_wave, projected, support, *, a, b, c, g) -> exit_wave``
        :func:`cdipipe.ops.projection.update_object_` with this constraint, in place in ``exit_wave``.
    time_s : float, or None where the pattern is not a frame of a movie with times
    """

    def __init__(
        self,
        pattern: Measurement,
        constraint,
        phase_range_rad,
        device="cpu",
        free_pixels=None,
        use_static_region=True,
        coherence_px=None,
        background=0.0,
    ):
        intensity = torch.from_numpy(pattern.intensity).to(device, torch.float32)
        measured = torch.from_numpy(pattern.measured).to(device)
        self.ndim = intensity.ndim
        self.shape = tuple(intensity.shape)
        self.time_s = None if pattern.frame_times_s is None else float(pattern.frame_times_s[0])
        self.device = torch.device(device)
        self.constraint = constraint
        self.phase_range_rad = tuple(phase_range_rad)
        self.update_object_ = partial(ops.update_object_, constraint=constraint, phase_range_rad=self.phase_range_rad)
        self.model = ForwardModel.of_measurement(pattern, use_static_region, coherence_px, background).to(device)
        self.static_content = self._corner(pattern.static_region)
        self.static_support = self._corner(pattern.known_static_support)
        self.object_support = self._corner(known_support(pattern, use_static_region))
        self.intensity = fourier.to_corner(intensity, self.ndim).contiguous()
        self.measured = fourier.to_corner(measured, self.ndim).contiguous()
        self.free = None
        if free_pixels is not None:
            self.free = fourier.to_corner(torch.from_numpy(free_pixels).to(device), self.ndim) & self.measured
            self.measured = self.measured & ~self.free
        self.modulus = self.intensity.clamp(min=0).sqrt_()
        self.modulus_sum = float((self.modulus * self.measured).sum(dtype=torch.float64))
        self.photons = float((self.intensity.clamp(min=0) * self.measured).sum(dtype=torch.float64))
        if not self.modulus_sum > 0:
            raise InputError("no photons on any measured pixel; nothing can be reconstructed")
        self.object_photons = self._photons_of_object()

    def _corner(self, array):
        if array is None:
            return None
        return fourier.to_corner(torch.from_numpy(array).to(self.device), self.ndim).contiguous()

    def _photons_of_object(self) -> float:
        """Photons that the object sends onto the measured pixels; beside a static region what that leaves, roughly."""
        reference = self.model.static_wavefront()
        if reference is None:
            return self.photons
        static = self.model.sum_modes(reference.abs().square())
        return max(self.photons - float((static * self.measured).sum(dtype=torch.float64)), self.photons**0.5)

    @property
    def background(self):
        """Photons per pixel beside those of the object: a number, (*grid) in FFT order, or (B, 1, 1) for a batch."""
        return self.model.background

    def with_coherence(self, width_px) -> Problem:
        """The same pattern behind light of another coherence width: one, or (B,) for the items of a batch."""
        other = copy.copy(self)
        other.model = self.model.with_light(width_px, self.background)
        return other

    def with_light_of_each(self, count: int) -> Problem:
        """The same pattern for a batch whose items each have a coherence width, (B,), if there is one at all."""
        width = self.coherence_px
        return self.with_coherence(None if width is None else torch.full((count,), width, device=self.device))

    def of_item(self, index: int) -> Problem:
        """The problem as item ``index`` of a batch sees it."""
        width, background = self.coherence_px, self.background
        one = isinstance(width, torch.Tensor) and width.ndim > 0
        each = isinstance(background, torch.Tensor) and background.ndim > self.ndim
        if not (one or each):
            return self
        other = self.with_coherence(width[index] if one else width)
        other.set_light(other.coherence_px, background[index] if each else background)
        return other

    def set_light(self, coherence_px, background) -> None:
        """Change coherence width and photons per pixel of the background: numbers, or (B,) and (B, 1, 1)."""
        self.model = self.model.with_light(coherence_px, background)

    def fit_coherence(self, estimate) -> None:
        """Fit the width of every item of this batch to its estimate (B, *grid); changes this problem."""
        coherent = self.model.sum_modes(self.model.wavefront(estimate).abs().square_())
        width = fit_width(coherent, self.coherence_px, self.modulus, self.measured, self.background, self.ndim)
        self.set_light(width, self.background)

    def scores(self, exit_wave) -> dict[str, np.ndarray]:
        """Misfits of a batch of objects, (B,) float64 each, as ``evaluate`` defines them; NaN where there is none.

        ``r_factor`` and ``poisson_nll`` on the measured pixels, ``r_factor_free`` and ``poisson_nll_free`` on the
        withheld ones, if any.
        """
        return score_objects(self, exit_wave)

    @functools.cached_property
    def seen_counts(self) -> Counts:
        """The counts that methods see, as scores need them."""
        return Counts.of(self.intensity.reshape(1, -1), self.measured.reshape(1, -1))

    @functools.cached_property
    def free_counts(self) -> Counts | None:
        """Those withheld from them, if any."""
        return None if self.free is None else Counts.of(self.intensity.reshape(1, -1), self.free.reshape(1, -1))


def known_support(pattern: Measurement, use_static_region: bool = True) -> np.ndarray | None:
    """The support known beforehand; with the static structure where that is reconstructed as part of the object."""
    support, static = pattern.object_support, pattern.known_static_support
    apart = use_static_region and pattern.static_region is not None
    if support is None or static is None or apart:
        return support
    return support | static
