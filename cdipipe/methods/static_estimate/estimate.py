"""A static region of known place and unknown content, found together with the samples beside it; FFT order.

HIO on both supports leaves three doubts, and each has its test: the estimate is refined by least squares; the
structure turned by 180 degrees within its box explains its own pattern alike, so both are refined beside the sample
and the lower misfit is kept; and a start may end in a wrong place, so that the misfit has to be what noise leaves,
or the search goes on.
"""

from __future__ import annotations

import logging

import torch

from cdipipe.methods.static_estimate.hops import HOP_ER_ITERATIONS, HOPS, hop_lengths
from cdipipe.methods.static_estimate.joint import Estimate, refine
from cdipipe.methods.static_estimate.movie import JointFrames
from cdipipe.methods.static_estimate.prior import refine_with_prior
from cdipipe.optics import fourier
from cdipipe.phasing.starts import derive_seed

logger = logging.getLogger(__name__)

CONFIRMING_HOPS = 4
"""An accepted misfit may still be that of a local minimum: so many hops must find none lower."""
LARGEST_KICK = 1.5
"""Decades."""


def estimate_static(problems, start, parameters, first_support, seed: int, tick) -> Estimate:
    """The best of several starts, or the first whose misfit is what noise leaves.

    Parameters
    ----------
    problems : list of Problem whose object is sample and static structure together
    start : Start of the driver
    parameters : iterations, er_iterations, beta, tries, hops, tolerance, prior, prior_rounds
    first_support : StartSupport, where nothing is known of the samples' support
    tick : called after every HIO iteration
    """
    best = Estimate(None, None)
    for attempt in range(parameters.tries):
        movie = JointFrames(problems, start, derive_seed(seed, attempt), first_support, beta=parameters.beta)
        generator = torch.Generator().manual_seed(derive_seed(seed, attempt) & (2**63 - 1))
        found = _search(movie, parameters, tick, generator)
        found.tries = attempt + 1
        best = min(best, found, key=lambda e: e.ratio)
        if best.accepted:
            break
    if not best.accepted:
        message = "the static region was not found: its misfit is %.3g times that of noise, %.3g was to be expected; "
        message += "the samples beside it are not to be trusted (more tries or hops may help)"
        logger.warning(message, best.ratio, best.expected)
    if parameters.prior == "none":
        return best
    return refine_with_prior(problems, best, _split(movie)[1:], parameters.prior, parameters.prior_rounds, seed)


def _search(movie, parameters, tick, generator) -> Estimate:
    """One start, then short blocks of HIO from the best so far, refined each, until the misfit is what noise leaves.

    Refinement ends in a local minimum that is mostly near the true one; a block leaves it, sooner than a new start
    would come as near. Every other block begins with a part of the frequencies of the turned structure.
    """
    _run_block(movie, parameters.iterations, parameters.er_iterations, tick)
    best = _accept(_better_of_twins(movie), parameters)
    for hop, length in enumerate(hop_lengths(parameters.hops)):
        if best.accepted and hop >= best.hops + CONFIRMING_HOPS:
            break
        striped = hop % 2 and not best.accepted
        left = _striped(best, movie.static, generator) if striped else _kicked(best, movie, hop, generator)
        movie.waves = left.to(torch.complex64)
        _run_block(movie, length, HOP_ER_ITERATIONS, tick)
        found = _accept(refine(movie.problems, *_split(movie)), parameters)
        found.hops = hop + 1
        best = min(best, found, key=lambda e: e.ratio)
    return best


def _striped(best: Estimate, static, generator):
    """The waves with the high frequencies along one axis, or all of them, from the turned structure.

    The iterations stagnate, and show stripes, where one part of the frequencies belongs to either twin.

    References
    ----------
    Fienup, Wackerman, J. Opt. Soc. Am. A 3, 1897 (1986), doi:10.1364/JOSAA.3.001897
    """
    ndim = static.ndim
    axis = int(torch.randint(ndim, (), generator=generator))
    cut = 0.5 * float(torch.rand((), generator=generator))
    frequency = torch.fft.fftfreq(static.shape[axis], device=static.device).abs()
    high = (frequency > cut).reshape([-1 if index == axis else 1 for index in range(ndim)])
    own, turned = (fourier.forward_corner(a, ndim) for a in (best.static, turn_in_box(best.static, static)))
    return fourier.inverse_corner(torch.where(high, turned, own), ndim) * static + best.samples


def _kicked(best: Estimate, movie, hop: int, generator):
    """The waves to leave the best from; once every length was tried in vain, with noise of more than its misfit."""
    waves = best.static + best.samples
    if hop < best.hops + 2 * len(HOPS):
        return waves
    pixels = float(movie.supports.sum())
    misfit = (best.ratio * movie.supports.numel() / 8 / pixels) ** 0.5
    strength = misfit * 10 ** float(torch.rand(1, generator=generator) * LARGEST_KICK)
    noise = torch.randn(waves.shape, generator=generator, dtype=torch.float64).to(waves.device)
    return waves + strength * noise * movie.supports


def _run_block(movie, iterations: int, er_iterations: int, tick) -> None:
    for iteration in range(iterations):
        movie.iterate(error_reduction=iteration >= iterations - er_iterations)
        tick()


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
    refined = [refine(movie.problems, e, static, *others) for e in (as_found, turned)]
    return min(refined, key=lambda e: e.ratio)


def turn_in_box(content, static):
    """The twin within the box of the static support: conj(u(-x)) about the box's middle, in the support."""
    centred, inside = (fourier.to_centre(a, content.ndim) for a in (content, static))
    box = tuple(slice(int(i.min()), int(i.max()) + 1) for i in inside.nonzero().T)
    turned = torch.zeros_like(centred)
    turned[box] = torch.flip(centred[box], tuple(range(content.ndim))).conj()
    return fourier.to_corner(turned * inside, content.ndim)
