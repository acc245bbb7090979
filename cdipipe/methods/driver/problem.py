"""One pattern made ready for iterating: on the device, in FFT order, with the recipe's object constraint."""

from __future__ import annotations

import numpy as np
import torch

from cdipipe.errors import InputError
from cdipipe.measurement import Measurement
from cdipipe.metrics.fourier import misfits
from cdipipe.ops import projection as ops
from cdipipe.optics import fourier
from cdipipe.optics.forward import ForwardModel


class Problem:
    """What methods see of a measurement: two projections and the scores.

    Parameters
    ----------
    pattern : Measurement of stack ``single`` or ``volume``
    constraint, phase_range_rad : the object constraint, see ``Recipe``
    device : torch device
    free_pixels : (*grid) bool, optional, centred
        Measured pixels that the reconstruction must not see.
    """

    def __init__(self, pattern: Measurement, constraint, phase_range_rad, device="cpu", free_pixels=None):
        intensity = torch.from_numpy(pattern.intensity).to(device, torch.float32)
        measured = torch.from_numpy(pattern.measured).to(device)
        self.ndim = intensity.ndim
        self.shape = tuple(intensity.shape)
        self.device = torch.device(device)
        self.constraint = constraint
        self.phase_range_rad = tuple(phase_range_rad)
        probes = None if pattern.probe_modes is None else torch.from_numpy(pattern.probe_modes).to(device)
        self.model = ForwardModel(self.ndim, probe_modes=probes)
        self._corner_model = self.model.corner()
        self.intensity = fourier.to_corner(intensity, self.ndim).contiguous()
        self.measured = fourier.to_corner(measured, self.ndim).contiguous()
        self.seen, self.free = self.measured, None
        if free_pixels is not None:
            self.free = fourier.to_corner(torch.from_numpy(free_pixels).to(device), self.ndim) & self.measured
            self.measured = self.measured & ~self.free
        self.modulus = self.intensity.clamp(min=0).sqrt_()
        self.modulus_sum = float((self.modulus * self.measured).sum(dtype=torch.float64))
        self.photons = float((self.intensity.clamp(min=0) * self.measured).sum(dtype=torch.float64))
        if not self.modulus_sum > 0:
            raise InputError("no photons on any measured pixel; nothing can be reconstructed")

    def project_modulus(self, exit_wave):
        """P_M u of a batch (B, *grid), and the R-factor (B,) of u on the measured pixels."""
        projected, misfit = self._corner_model.project_modulus(exit_wave, self.modulus, self.measured)
        return projected, misfit / self.modulus_sum

    def project_object(self, exit_wave, support):
        """P_S u: the nearest object inside the support that satisfies the constraint; a new tensor."""
        return ops.project_object(exit_wave, support, self.constraint, self.phase_range_rad)

    def update_object_(self, exit_wave, projected, support, *, a, b, c, g):
        """The fused object-domain update of ``cdipipe.ops.projection.update_object_``, in place in ``exit_wave``."""
        ops.update_object_(
            exit_wave, projected, support, self.constraint, a=a, b=b, c=c, g=g, phase_range_rad=self.phase_range_rad
        )
        return exit_wave

    def predict_intensity(self, exit_wave):
        """Photons of a batch (B, *grid) in FFT order."""
        return self._corner_model.predict_intensity(exit_wave)

    def propagate(self, exit_wave):
        """Wavefronts of a batch, FFT order."""
        return self._corner_model.propagate(exit_wave)

    def backpropagate(self, wavefront):
        """Adjoint of :meth:`propagate`."""
        return self._corner_model.backpropagate(wavefront)

    def scores(self, exit_wave) -> dict[str, np.ndarray]:
        """Misfits of a batch of objects, (B,) float64 each, as ``evaluate`` defines them; NaN where there is none.

        ``r_factor`` and ``poisson_nll`` on the measured pixels, ``r_factor_free`` on the withheld ones, if any.
        """
        names = ["r_factor", "poisson_nll"] + ["r_factor_free"] * (self.free is not None)
        counts, seen, free = (None if a is None else a.cpu().numpy() for a in (self.intensity, self.seen, self.free))
        rows = [
            misfits(self.predict_intensity(item[None])[0].cpu().numpy().astype(np.float64), counts, seen, free)
            for item in exit_wave
        ]
        return {name: np.array([row.get(name, np.nan) for row in rows]) for name in names}
