"""A static region of known place and unknown content, found together with the samples beside it; FFT order.

HIO on both supports leaves three doubts, and each has its test: the estimate is refined by least squares; the
structure turned by 180 degrees within its box explains its own pattern alike, so both are refined beside the sample
and the lower misfit is kept; and a start may end in a wrong place, so that the misfit has to be what noise leaves,
or the search goes on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from cdipipe.methods.driver.restarts import derive_seed
from cdipipe.methods.static_estimate import HOP_ER_ITERATIONS, hop_lengths
from cdipipe.methods.static_parts.least_squares import Linearised, conjugate_gradients, energy
from cdipipe.methods.static_parts.movie import Movie
from cdipipe.optics import fourier

ROUNDS = 8
"""Gauss-Newton steps of a refinement, at most."""
CG_ITERATIONS = 20
DAMPING = 1e-3
"""Against directions that the patterns hardly see; a well determined one weighs 1/2."""
CONFIRMING_HOPS = 4
"""An accepted misfit may still be that of a local minimum: so many hops must find none lower."""


@dataclass
class Estimate:
    """One static structure, the samples beside it, and how well both explain the patterns.

    Parameters
    ----------
    static : (*grid) complex128
    samples : (T, *grid) complex128
    ratio : misfit in units of its expectation for noise alone, see :func:`misfit_ratio`
    expected : what ``ratio`` is where everything was found: below 1 by the share of what was fitted
    tries, hops : starts until this one was kept, and short blocks from its best
    accepted : whether the misfit is what noise leaves
    """

    static: torch.Tensor
    samples: torch.Tensor
    ratio: float = np.inf
    expected: float = 1.0
    tries: int = 0
    hops: int = 0
    accepted: bool = False


class Joint:
    """Linearised models of all frames in their samples and the one static structure: x is (1 + T, *grid)."""

    def __init__(self, problems, estimate: Estimate, static, supports, real: bool):
        self.static, self.supports, self.real = static, supports, real
        self.models = []
        for problem, sample, support in zip(problems, estimate.samples, supports, strict=True):
            wave = problem.propagate((estimate.static + sample)[None])[0]
            self.models.append(Linearised(problem, wave, support | static, real))

    def forward(self, x):
        return torch.stack([model.forward(x[0] + x[1 + index]) for index, model in enumerate(self.models)])

    def adjoint(self, residuals):
        parts = torch.stack([model.adjoint(r) for model, r in zip(self.models, residuals, strict=True)])
        return torch.cat([(parts.sum(0) * self.static)[None], parts * self.supports])

    def residuals(self, problems):
        """sqrt(I) - A of every frame, (T, *grid) float64, 0 where not measured."""
        pairs = zip(problems, self.models, strict=True)
        return torch.stack([(p.intensity.double().clamp(min=0).sqrt() - m.modulus) * p.measured for p, m in pairs])


def estimate_static(problems, start, parameters, seed: int, watch_iteration) -> Estimate:
    """The best of several starts, or the first whose misfit is what noise leaves.

    Parameters
    ----------
    problems : list of Problem whose object is sample and static structure together
    start : Start of the driver
    parameters : iterations, er_iterations, beta, tries, hops, tolerance
    watch_iteration : called with the R-factor after every HIO iteration
    """
    best = Estimate(None, None)
    for attempt in range(parameters.tries):
        movie = Movie(problems, start, derive_seed(seed, attempt), beta=parameters.beta)
        found = _search(movie, parameters, watch_iteration)
        found.tries = attempt + 1
        best = min(best, found, key=lambda e: e.ratio)
        if best.accepted:
            break
    return best


def _search(movie, parameters, watch_iteration) -> Estimate:
    """One start, then short blocks of HIO from the best so far, refined each, until the misfit is what noise leaves.

    Refinement ends in a local minimum that is mostly near the true one; a block leaves it, sooner than a new start
    would come as near.
    """
    _run_block(movie, parameters.iterations, parameters.er_iterations, watch_iteration)
    best = _accept(_better_of_twins(movie), parameters)
    for hop, length in enumerate(hop_lengths(parameters.hops)):
        if best.accepted and hop >= best.hops + CONFIRMING_HOPS:
            break
        movie.waves = (best.static + best.samples).to(torch.complex64)
        _run_block(movie, length, HOP_ER_ITERATIONS, watch_iteration)
        found = _accept(_refine(movie.problems, *_split(movie)), parameters)
        found.hops = hop + 1
        best = min(best, found, key=lambda e: e.ratio)
    return best


def _run_block(movie, iterations: int, er_iterations: int, watch_iteration) -> None:
    for iteration in range(iterations):
        watch_iteration(movie.iterate(error_reduction=iteration >= iterations - er_iterations))


def _accept(found: Estimate, parameters) -> Estimate:
    found.accepted = found.ratio < found.expected + parameters.tolerance
    return found


def _split(movie):
    """What the movie found, the places of the static structure and of the samples, and whether they are real."""
    real = movie.problems[0].constraint == "real_nonneg"
    static = movie.static
    supports = movie.supports & ~static
    waves = movie.waves.to(torch.complex128)
    waves = waves.real.to(torch.complex128) if real else waves
    return Estimate(waves[0] * static, waves * supports), static, supports, real


def _better_of_twins(movie) -> Estimate:
    """What the movie found and its static structure turned, each refined; the lower misfit."""
    as_found, static, *others = _split(movie)
    # of the turned structure nothing is known of the samples
    turned = Estimate(turn_in_box(as_found.static, static), torch.zeros_like(as_found.samples))
    refined = [_refine(movie.problems, e, static, *others) for e in (as_found, turned)]
    return min(refined, key=lambda e: e.ratio)


def _refine(problems, estimate: Estimate, static, supports, real: bool) -> Estimate:
    """Gauss-Newton on samples and static structure together, the samples first, as they may be far off."""
    zero = torch.zeros((1 + len(problems), *static.shape), device=static.device)
    zero = zero if real else zero.to(torch.complex64)
    for step in range(ROUNDS):
        free = static if step else torch.zeros_like(static)
        joint = Joint(problems, estimate, free, supports, real)
        change = conjugate_gradients(joint, joint.residuals(problems).float(), zero, CG_ITERATIONS, damping=DAMPING)
        estimate = Estimate(estimate.static + change[0], estimate.samples + change[1:])
        if step and energy(change) < 1e-3 * change.ne(0).sum():
            break
    residuals = Joint(problems, estimate, static, supports, real).residuals(problems)
    estimate.ratio, estimate.expected = misfit_ratio(problems, residuals, static, supports, real)
    return estimate


def misfit_ratio(problems, residuals, static, supports, real: bool) -> tuple[float, float]:
    """Sum of squared residuals over its expectation for noise of 1/2 alone, and what the fit makes of that.

    A real object scatters alike to k and -k, so its residuals are averaged over both first: N / 8 instead of N / 4.
    With n real unknowns and N measured pixels the expectation is 1 - 2 n / N, or 1 - n / N.
    """
    measured = torch.stack([p.measured for p in problems])
    if real:
        axes = tuple(range(1, residuals.ndim))
        both = measured & _opposite(measured, axes)
        residuals = (residuals + _opposite(residuals, axes)) / 2 * both
        measured = both
    pixels = float(measured.sum())
    unknown = float(supports.sum() + static.sum()) * (1 if real else 2)
    share = pixels / (8 if real else 4)
    return energy(residuals) / max(share, 1e-9), 1 - unknown * (2 if real else 1) / max(pixels, 1.0)


def _opposite(array, axes):
    """The value at -k, in FFT order."""
    return torch.roll(torch.flip(array, axes), [1] * len(axes), axes)


def turn_in_box(content, static):
    """The twin within the box of the static support: conj(u(-x)) about the box's middle, in the support."""
    centred, inside = (fourier.to_centre(a, content.ndim) for a in (content, static))
    box = tuple(slice(int(i.min()), int(i.max()) + 1) for i in inside.nonzero().T)
    turned = torch.zeros_like(centred)
    turned[box] = torch.flip(centred[box], tuple(range(content.ndim))).conj()
    return fourier.to_corner(turned * inside, content.ndim)
