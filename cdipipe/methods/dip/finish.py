"""What the counts still say where the network stopped: Gauss-Newton steps, weighted by how far they exceed noise.

A network draws fine detail slowly, and at a high dose the counts know far more than it has drawn after some hundred
iterations. The step dx from the network's object that the counts ask for holds what the network missed, and noise. The
same step asked for by counting noise alone tells how much of each spatial frequency is noise, so that dx is taken with
the Wiener weight 1 - noise power / power of dx, per ring. At a low dose the network missed less than the noise is, and
nearly nothing is taken. The weight is for the sum of all steps: by itself a later one, which corrects what is not
linear, would look like noise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from cdipipe.optics import fourier

RING_PX = 2.0
"""Width of the rings in which powers are compared, in pixels of the transform of the support's box."""
ROUNDS = 3
NOISE_DRAWS = 2
CLEAR = 4.0
"""Power of a change over that of noise above which it is taken whole. A network so far off has learnt the noise of low
frequencies with their image, before it has drawn the high ones; the weights take it for noise-free and would fail."""
SURE = 2.0
"""Standard deviations by which a ring must exceed its noise."""


@dataclass(frozen=True)
class Linear:
    """Moduli near an object, linear in its change: |z + F dx| = |z| + Re(z* F dx) / |z|."""

    problem: object
    wave: torch.Tensor
    """(1, [M,] *grid) complex64: z / |z|, the length taken over the probe modes"""
    weight: torch.Tensor
    support: torch.Tensor
    real: bool

    def apply(self, change):
        """(*grid) complex64 -> (1, *grid) float32."""
        return self.problem.model.sum_modes((self.wave.conj() * self.problem.model.propagate(change[None])).real)

    def transpose(self, error):
        """(1, *grid) float32 -> (*grid) complex64; the adjoint of :meth:`apply` with the weights."""
        weighted = error * self.weight
        change = self.problem.model.backpropagate(self.problem.model.per_mode(weighted) * self.wave)[0] * self.support
        return torch.complex(change.real, torch.zeros_like(change.real)) if self.real else change


def refine(problem, misfit, object_, support, generator, steps):
    """The object with what the counts surely add to it.

    Parameters
    ----------
    problem, misfit : Problem, Misfit
    object_ : (*grid) complex64, FFT order
    support : (*grid) bool
    generator : for the draws of counting noise
    steps : conjugate-gradient steps of the linear solution; 0: the object as it is

    Returns
    -------
    (*grid) complex64; the object as it is if the change would raise the misfit
    """
    if not steps:
        return object_
    before = misfit.evaluate(object_).misfit
    change, noises = least_squares(problem, misfit, object_, support, generator, steps)
    change = take_what_exceeds_noise(change, noises, support)
    refined = problem.project_object((object_ + change)[None], support[None])[0]
    return refined if misfit.evaluate(refined).misfit < before else object_


def least_squares(problem, misfit, object_, support, generator, steps):
    """The change to the object that explains the counts best, and changes that noise alone would ask for."""
    real = problem.constraint == "real_nonneg"
    change, noises = torch.zeros_like(object_), None
    now = misfit.evaluate(object_)
    for _ in range(ROUNDS):
        linear = Linear(problem, misfit.directions(object_ + change), misfit.weight, support, real)
        noises = noises or [solve(linear, misfit.draw_noise(generator), steps) for _ in range(NOISE_DRAWS)]
        further = change + solve(linear, -now.error, steps)
        then = misfit.evaluate(object_ + further)
        if then.misfit >= now.misfit:
            break
        change, now = further, then
    return change, noises


def solve(linear, error, steps):
    """Conjugate gradients on the normal equations: the change of least squares; (*grid) complex64."""
    residual = linear.transpose(error)
    change, direction = torch.zeros_like(residual), residual
    power = _dot(residual, residual)
    for _ in range(steps):
        image = linear.transpose(linear.apply(direction))
        step = power / max(_dot(direction, image), 1e-30)
        change = change + step * direction
        residual = residual - step * image
        power, before = _dot(residual, residual), power
        direction = residual + power / max(before, 1e-30) * direction
    return change


def take_what_exceeds_noise(change, noises, support):
    """The change, each ring of spatial frequencies weighted by 1 - noise power / its power, if surely above 0."""
    ndim = change.ndim
    power = fourier.forward_corner(change, ndim).abs().square()
    noise = sum(fourier.forward_corner(item, ndim).abs().square() for item in noises) / len(noises)
    box = [int(support.any(dim=tuple(a for a in range(ndim) if a != axis)).sum()) for axis in range(ndim)]
    axes = fourier.frequencies_corner(change.shape, change.device)
    # a ring is narrow as seen from the box: neighbouring frequencies of the grid are not independent
    radius = sum((q * (side / size)) ** 2 for q, side, size in zip(axes, box, change.shape, strict=True)).sqrt()
    ring = (radius / RING_PX).long()
    count = int(ring.max()) + 1
    empty = torch.zeros(count, dtype=torch.float64, device=ring.device)
    totals = [empty.scatter_add(0, ring.flatten(), p.flatten().double()) for p in (power, noise)]
    if totals[0].sum() > CLEAR * totals[1].sum():
        return change
    # independent numbers in a ring, and how far chance alone may lift its power
    numbers = torch.bincount(ring.flatten(), minlength=count) * math.prod(box) / change.numel()
    margin = 1 + SURE * (2 * (1 + 1 / len(noises)) / numbers.clamp(min=1)).sqrt()
    weight = (1 - margin * totals[1] / totals[0].clamp(min=1e-30)).clamp(min=0).to(power.dtype)[ring]
    return fourier.inverse_corner(weight * fourier.forward_corner(change, ndim), ndim) * support


def _dot(a, b):
    return float((a.conj() * b).real.sum(dtype=torch.float64))
