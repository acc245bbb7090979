"""All frames of a movie with one static structure: a joint step on every frame, arrays in FFT order."""

from __future__ import annotations

import numpy as np
import torch

from cdipipe.errors import InputError
from cdipipe.optics import fourier
from cdipipe.phasing.starts import random_starts
from cdipipe.phasing.support import check_support, start_support


class JointFrames:
    """Iterates of all frames, sample and static structure together.

    Parameters
    ----------
    problems : list of Problem, one for each frame, whose object is the whole frame
    start : Start of the driver, centred arrays
    seed : int
    first_support : StartSupport
        Where the support comes from if neither start nor measurement tells it.
    static_region : (*grid) complex64 in FFT order, optional
        The static structure where it is known.

    Raises
    ------
    InputError   no support, or one without any pixel of the sample
    """

    def __init__(self, problems, start, seed, first_support, static_region=None, beta=0.9):
        self.first_support = first_support
        self.problems, self.beta = problems, beta
        self.ndim = problems[0].ndim
        self.static = problems[0].static_support
        self._places = self.static.flatten().nonzero()[:, 0]  # once: to look for them is to wait for the device
        self.static_region = static_region
        self.supports = torch.stack([self._support(p, start, index) for index, p in enumerate(problems)])
        if start.object is not None:
            self.waves = fourier.to_corner(torch.from_numpy(np.asarray(start.object, np.complex64)), self.ndim)
            self.waves = self.waves.to(problems[0].device)
            self.waves = self.waves.expand(self.supports.shape).clone()
        else:
            self.waves = torch.stack(
                [random_starts(p, s, [(seed, 0)])[0] for p, s in zip(problems, self.supports, strict=True)]
            )
        photons = torch.tensor([p.photons for p in problems], dtype=torch.float32, device=self.waves.device)
        self.weights = photons / photons.sum()
        self._share(self.waves)

    def _support(self, problem, start, index):
        if start.support is None:
            support = start_support(problem, self.first_support)
        else:
            given = start.support if start.support.ndim == self.ndim else start.support[index]
            support = fourier.to_corner(torch.from_numpy(given).to(problem.device), self.ndim)
        check_support(support, problem.shape)
        if not (support & ~self.static).any():
            raise InputError("in_situ: the support holds no pixel beside the static structure")
        return support | self.static

    def _share(self, waves) -> None:
        """One static structure for all frames: the known one, or the mean weighted with the photons."""
        pixels = waves.view(len(waves), -1)
        if self.static_region is not None:
            pixels[:, self._places] = self.static_region.flatten()[self._places]
        else:
            pixels[:, self._places] = (self.weights[:, None] * pixels[:, self._places]).sum(0)

    def hold(self, static) -> None:
        """Take an estimate (*grid) of the static structure as known, until ``static_region`` is None again."""
        self.static_region = static.to(self.waves.dtype)
        self._share(self.waves)

    def iterate(self, error_reduction: bool) -> torch.Tensor:
        """One iteration on every frame; the R-factor of all of them together, (1,) float64."""
        projected, misfit = torch.empty_like(self.waves), 0.0
        for index, problem in enumerate(self.problems):
            projected[index], r_factor = problem.impose_modulus(self.waves[index : index + 1])
            misfit = misfit + r_factor * problem.modulus_sum
        self._share(projected)
        b, c = (0.0, 1.0) if error_reduction else (1.0, 0.0)
        for index, problem in enumerate(self.problems):
            one = slice(index, index + 1)
            coefficients = {"a": b, "b": -self.beta * b, "c": c, "g": 0.0}
            problem.update_object_(self.waves[one], projected[one], self.supports[one], **coefficients)
        return misfit / sum(problem.modulus_sum for problem in self.problems)

    def objects(self) -> np.ndarray:
        """Objects (T, *grid) complex64 that satisfy the constraint, centred."""
        objects = [
            p.project_object(w[None], s)[0] for p, w, s in zip(self.problems, self.waves, self.supports, strict=True)
        ]
        objects = torch.stack(objects)
        self._share(objects)
        return fourier.to_centre(objects, self.ndim).cpu().numpy()

    def centred_supports(self) -> np.ndarray:
        """Their supports (T, *grid) bool, centred."""
        return fourier.to_centre(self.supports, self.ndim).cpu().numpy()
