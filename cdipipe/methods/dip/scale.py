"""How bright the object is, from the counts alone."""

from __future__ import annotations

import torch

from cdipipe.optics import fourier

BLUR_PX = 1.5
BRIGHTEST = 0.99
"""Quantile of the blurred modulus that counts as 1: one bright pixel of noise must not decide."""
PEAK_OF_RMS = 1.5
"""Largest modulus over its root mean square, typical of the pictures of low-dose imaging."""


def estimate_scale(problem, support) -> float:
    """Modulus of the brighter parts of the object, square root of photons per object pixel.

    Beside a static region from a linear estimate of the object, see :func:`linear_estimate`; without one from the
    photons, spread over the support.

    Parameters
    ----------
    support : (*grid) bool, FFT order
    """
    if problem.model.static_region is None:
        light = 1.0
        if problem.model.probe_modes is not None:
            probes = problem.model.illumination
            light = float(probes[support].mean())
        return PEAK_OF_RMS * (problem.photons / max(light * int(support.sum()), 1e-20)) ** 0.5
    inside = support.to(torch.float32)
    blurred = fourier.gaussian_blur_corner(linear_estimate(problem, support).abs() * inside, BLUR_PX, problem.ndim)
    blurred = blurred / fourier.gaussian_blur_corner(inside, BLUR_PX, problem.ndim).clamp(min=0.1)
    return max(float(blurred[support].quantile(BRIGHTEST)), 1e-6)


def linear_estimate(problem, support):
    """The object to first order in its strength beside the static region, one step of least squares.

    With D the wavefront of the static region, b - |D| = Re(D* F x) / |D| and noise; the transpose of that map, applied
    to it, is close to the identity over 2 where the twin of the support lies beside the support.

    Returns
    -------
    (*grid) complex64, FFT order, zero outside the support
    """
    model = problem.model
    reference = model.static_wavefront(torch.complex128)[None]
    length = model.sum_modes(reference.abs().square()).sqrt()
    excess = (problem.modulus.to(torch.float64) - length) * problem.measured / length.clamp(min=1e-20)
    estimate = 2 * model.backpropagate((model.per_mode(excess) * reference).to(torch.complex64))[0] * support
    if model.probe_modes is not None:
        estimate = estimate / model.illumination.clamp(min=1e-2 * float(model.illumination.max()))
    return problem.project_object(estimate[None], support)[0]
