"""The loop: Adam on real and imaginary parts, support and constraint enforced after every step."""

from __future__ import annotations

import math

import torch

from cdipipe.optics import fourier
from cdipipe.optics.adam import Adam, falling_rate
from cdipipe.optics.misfits import MISFITS, r_factor
from cdipipe.optics.total_variation import periodic_variation
from cdipipe.phasing.best import Best

TV_SMOOTHING = 1e-3
"""In units of the object's rms modulus."""


def dilate(support, pixels, ndim):
    """Grow a support by whole pixels in all directions; FFT order."""
    grown = support
    for axis in range(-ndim, 0):
        grown = torch.stack([grown.roll(shift, axis) for shift in range(-pixels, pixels + 1)]).any(0)
    return grown


def loose_support(support, sigma_px, level, ndim):
    """Where the blurred support exceeds ``level``: a rim of a pixel or two around it."""
    return fourier.gaussian_blur_corner(support.to(torch.float32), sigma_px, ndim) > level


class Descent:
    """Lower misfit + weight * total variation of a batch.

    Parameters
    ----------
    problem : Problem
    exit_wave, support : (B, *grid) complex64 and bool, FFT order
    parameters : AdRefineParameters

    Attributes
    ----------
    wave, support : the iterates and their supports
    """

    def __init__(self, problem, exit_wave, support, parameters):
        self.problem, self.parameters = problem, parameters
        self.wave, self.support = problem.project_object(exit_wave, support), support.clone()
        area = support.flatten(1).sum(1).clamp(min=1)
        self._rms = (problem.object_photons / area).sqrt().reshape(-1, *(1,) * problem.ndim)
        self._best = Best(len(exit_wave), exit_wave.device)

    def iterate(self):
        """Yield the (B,) R-factor of every iterate, before the step that leaves it."""
        adam, rule = Adam.like(self.wave), _SupportRule(self.parameters, len(self.wave), self.problem)
        for iteration in range(self.parameters.iterations):
            loss, gradient, error = self._look()
            yield error
            self.support, changed = rule.update(iteration, loss, self.wave, self.support)
            if changed is not None:
                self.forget(changed)
            rate = falling_rate(iteration / self.parameters.iterations) * self.parameters.learning_rate
            self.wave = self.wave - rate * self._rms * adam.step(gradient * self.support)
            self.wave = self.problem.project_object(self.wave, self.support)
        self._look()

    def _look(self):
        """Loss, gradient and R-factor of the iterate, which is kept where it is the best so far."""
        loss, gradient, error = _loss(self.problem, self.wave, self.parameters, TV_SMOOTHING * self._rms)
        self._best.offer(loss, self.wave, self.support)
        return loss, gradient, error

    def forget(self, items=None):
        """Losses inside another support or in other light do not compare."""
        self._best.forget(slice(None) if items is None else items)

    def best(self):
        """(B, *grid) complex64 and bool: the iterate of lowest loss of every item so far, and its support."""
        return self._best.pick(self.wave, self.support)


def descend(problem, exit_wave, support, parameters, tell):
    """All iterations of a :class:`Descent`; ``tell`` is called with the R-factor (B,) of each. Returns its best."""
    descent = Descent(problem, exit_wave, support, parameters)
    for error in descent.iterate():
        tell(error)
    return descent.best()


def _loss(problem, wave, parameters, smoothing):
    """Loss (B,) float64, gradient (B, *grid), R-factor (B,)."""
    wavefront = problem.model.wavefront(wave)
    predicted = problem.model.detect(wavefront)
    loss, weight = MISFITS[parameters.loss](predicted, problem)
    weight = problem.model.spread(weight)
    gradient = problem.model.backpropagate(wavefront.mul_(problem.model.per_mode(weight))).mul_(2)
    error = r_factor(predicted, problem.modulus, problem.measured, problem.modulus_sum)
    if parameters.tv_weight:
        variation, slope = periodic_variation(wave, problem.ndim, smoothing)
        loss = loss + parameters.tv_weight * variation
        gradient.add_(slope, alpha=parameters.tv_weight)
    return loss, gradient, error


class _SupportRule:
    """3D-CDI-NN's rule: a new support from the blurred modulus, wherever the loss fell enough since the last one."""

    def __init__(self, parameters, count, problem):
        self.parameters, self.ndim = parameters, problem.ndim
        self.reference = torch.full((count,), math.inf, dtype=torch.float64, device=problem.device)

    def update(self, iteration, loss, wave, support):
        """The supports, and which items got a new one (None: no item)."""
        own = self.parameters
        if not own.support_every or iteration % own.support_every:
            return support, None
        if iteration == 0:
            self.reference = loss.clone()
            return support, None
        blurred = fourier.gaussian_blur_corner(wave.abs(), own.support_sigma_px, self.ndim)
        new = blurred >= own.support_threshold * blurred.flatten(1).amax(1).reshape(-1, *[1] * self.ndim)
        filled = new.flatten(1).float().mean(1)
        due = (loss <= (1 - own.support_fall) * self.reference) & (filled > 0) & (filled <= 0.5)
        self.reference = torch.where(due, loss, self.reference)
        return torch.where(due.reshape(-1, *[1] * self.ndim), new, support), due
