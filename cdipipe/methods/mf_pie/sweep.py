"""One sweep of multi-frame PIE over a movie; arrays in FFT order."""

from __future__ import annotations

import numpy as np
import torch

from cdipipe.ops import projection as ops
from cdipipe.optics import fourier
from cdipipe.optics.total_variation import denoise_movie
from cdipipe.phasing.steps import JointRun
from cdipipe.phasing.support import one_support


class SweepRun(JointRun):
    """Sweep after sweep over all frames."""

    def iterate(self):
        self._frames = Frames(self.problems, self.start, self.parameters)
        for _ in range(self.parameters.iterations):
            yield self._frames.sweep()

    def objects(self):
        return fourier.to_centre(self._frames.objects).cpu().numpy()

    def supports(self):
        lit = fourier.to_centre(self._frames.lit).cpu().numpy()
        return lit[None].repeat(len(self.problems), 0)


class Frames:
    """Objects of all frames and what is known of them.

    Attributes
    ----------
    objects : (T, H, W) complex64 transmission
    lit : (H, W) bool, where the probe shines
    """

    def __init__(self, problems, start, parameters):
        self.problems, self.own = problems, parameters
        self.probes = problems[0].model.probe_modes
        power = problems[0].model.illumination
        self.lit = power > parameters.illumination * power.max()
        if start.support is not None:
            self.lit = self.lit & one_support(start.support, problems[0])
        self.step = 1 / ((1 - parameters.alpha) * power + parameters.alpha * power.max())
        shape = (len(problems), *problems[0].shape)
        if start.object is None:
            self.objects = torch.ones(shape, dtype=torch.complex64, device=problems[0].device)
        else:
            given = torch.from_numpy(np.ascontiguousarray(start.object, np.complex64)).to(problems[0].device)
            self.objects = fourier.to_corner(given).expand(shape).clone()

    def sweep(self) -> torch.Tensor:
        """All frames once; the R-factor before it, of all frames together, (1,) float64."""
        own, misfit = self.own, 0.0
        for index in range(len(self.problems)):
            for other in range(max(index - own.neighbours, 0), min(index + own.neighbours + 1, len(self.problems))):
                error = self._update(index, self.problems[other], own.neighbour_weight ** abs(other - index))
                misfit = misfit + error if other == index else misfit
        self.objects = denoise_movie(self.objects, own.tv_space, own.tv_time, own.tv_iterations)
        if self.problems[0].constraint != "support":
            self.objects = self.problems[0].project_object(self.objects, self.lit)
        self.objects = torch.where(self.lit, self.objects, torch.ones_like(self.objects))
        return misfit / sum(problem.modulus_sum for problem in self.problems)

    def _update(self, index, problem, weight) -> torch.Tensor:
        """One step of the object of a frame towards the counts of this or another frame; the misfit before it."""
        object_ = self.objects[index]
        wavefront = problem.model.propagate(object_[None])
        error = torch.empty(1, dtype=torch.float64, device=wavefront.device)
        ops.project_modulus_(wavefront, problem.modulus, problem.measured, error, True)
        waves = fourier.inverse_corner(wavefront)[0]
        change = (self.probes.conj() * (waves - self.probes * object_)).sum(0)
        object_ += weight * self.step * change
        return error
