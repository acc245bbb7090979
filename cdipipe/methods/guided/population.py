"""Generations of a population of HIO runs, guided by its best member."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from cdipipe.methods import er, hio
from cdipipe.methods.guided.align import align_batch, centre_batch
from cdipipe.optics import fourier
from cdipipe.optics.misfits import scaled_poisson_nll
from cdipipe.optics.regrid import regrid
from cdipipe.phasing.descend import loose_support
from cdipipe.phasing.loop import SHRINK_EVERY
from cdipipe.phasing.restarts import CPU_BATCH_BYTES
from cdipipe.phasing.support import shrink_wrap

CLOSING_SHARE = 0.2
"""Share of every block's iterations that are error reduction, at its end."""


@dataclass
class Members:
    """Estimates of a population with their supports and scores; arrays in FFT order of the working grid."""

    waves: torch.Tensor
    supports: torch.Tensor
    score: torch.Tensor

    def best(self, count: int) -> Members:
        """The members of lowest score, best first."""
        order = self.score.argsort(stable=True)[:count]
        return Members(self.waves[order], self.supports[order], self.score[order])

    def join(self, other: Members) -> Members:
        pairs = ((self.waves, other.waves), (self.supports, other.supports), (self.score, other.score))
        return Members(*(torch.cat(pair) for pair in pairs))


class Population:
    """One population: what it works on and how.

    Parameters
    ----------
    full, working : Problem
        The measured pattern, which judges, and that on which the runs iterate; may be the same.
    parameters : GuidedParameters
    wrap : ShrinkWrap
    tell : called with the R-factors (B,) after every iteration of the population
    """

    def __init__(self, full, working, parameters, wrap, tell):
        self.full, self.working, self.parameters, self.wrap, self.tell = full, working, parameters, wrap, tell
        self.shrink_every = SHRINK_EVERY if wrap.every is None and full.object_support is None else wrap.every

    def evolve(self, waves, support) -> Members:
        """All generations, from random starts (B, *grid) inside one support; the final members, best first."""
        own = self.parameters
        supports = support.expand(waves.shape).contiguous()
        members = self._phase(waves, supports, own.iterations, 0).best(own.starts)
        for _ in range(own.generations):
            children = self._guide(members)
            grown = self._phase(*children, own.generation_iterations, own.iterations)
            members = members.join(grown).best(own.starts)
        return members

    def _guide(self, members):
        """Every member averaged with the best one, inside the support of the average."""
        own, ndim = self.parameters, self.working.ndim
        leader = members.waves[0]
        laid = align_batch(leader, members.waves, self.working.model.freedom, ndim)
        mixed = (laid + leader) / 2
        if not self.shrink_every:
            return mixed * members.supports, members.supports
        blurred = fourier.gaussian_blur_corner(mixed.abs(), self.wrap.sigma_end_px, ndim)
        supports = blurred > own.guided_threshold * blurred.flatten(1).amax(1).reshape(-1, *[1] * ndim)
        return mixed * supports, supports

    def _phase(self, waves, supports, iterations, before) -> Members:
        """A block of HIO for all members, some at a time."""
        count = _chunk(self.working, len(waves))
        parts = []
        for first in range(0, len(waves), count):
            part = slice(first, first + count)
            parts.append(self._block(waves[part].clone(), supports[part].clone(), iterations, before, not first))
        return Members(*(torch.cat(arrays) for arrays in zip(*parts, strict=True)))

    def _block(self, waves, supports, iterations, before, tells):
        own, problem, wrap = self.parameters, self.working, self.wrap
        step = hio.HioParameters(beta=own.beta, er_every=own.er_every)
        closing = iterations - round(CLOSING_SHARE * iterations)
        planned = own.iterations + own.generation_iterations
        for iteration in range(iterations):
            update = hio.update if iteration < closing else er.update
            waves, projected, r_factor = update(waves, problem, supports, step, iteration)
            done = before + iteration + 1
            if self.shrink_every and iteration < closing and done % self.shrink_every == 0:
                supports = shrink_wrap(
                    projected, supports, wrap, done // self.shrink_every - 1, done / planned, problem.ndim
                )
            if tells:
                self.tell(r_factor)
        projected, _ = problem.impose_modulus(waves)
        waves = problem.project_object(projected, supports)
        if self.working.model.freedom == "shift" and self.shrink_every:
            waves, supports = centre_batch(waves, supports, problem.ndim)
        return waves, supports, score(self.full, regrid(waves, self.full.shape))

    def enlarge(self, members: Members) -> tuple[torch.Tensor, torch.Tensor]:
        """Objects and loose supports on the grid of the measured pattern."""
        shape, ndim = self.full.shape, self.full.ndim
        supports = regrid(members.supports, shape)
        if self.shrink_every:
            supports = loose_support(supports, 1.0, self.parameters.loose_level, ndim)
        return regrid(members.waves, shape), supports


def _chunk(problem, count: int) -> int:
    """Members that iterate together: what suits the caches; depends on nothing but the sizes."""
    if problem.device.type == "cuda":
        return count
    return max(1, min(count, CPU_BATCH_BYTES // (8 * problem.intensity.numel())))


def score(problem, waves):
    """Poisson negative log-likelihood per measured pixel of a batch, as ``evaluate`` defines it; (B,) float64."""
    predictions = (problem.model.predict_intensity(wave[None])[0] for wave in waves)
    return scaled_poisson_nll(predictions, problem.intensity, problem.measured)
