"""Least squares and denoiser, put together; arrays in FFT order, double precision until the end."""

from __future__ import annotations

import torch

from cdipipe.denoise.denoisers import denoise
from cdipipe.optics import fourier
from cdipipe.phasing.least_squares import Linearised, energy, residual

SETTLED = 0.05
"""A step smaller than this share of the noise ends the relinearisations."""
MODULUS_NOISE = 0.5
"""Standard deviation of sqrt(counts)."""


def reconstruct_beside_reference(problem, support, parameters, seed: int):
    """(*grid) complex64: the denoised object of least squares."""
    real = problem.constraint == "real_nonneg"
    x, model, target = fit(problem, support, real, parameters)
    weight = illumination(problem, support)
    sigma = parameters.noise_factor * noise_level(problem, model, weight, parameters.cg_iterations, seed)
    denoiser = parameters.denoiser, parameters.checkpoint
    clean = denoise_object(x, support, weight, sigma, *denoiser)
    for _ in range(parameters.plug_and_play):
        # half-quadratic splitting: the data weigh as their noise, the denoised object as what the denoiser leaves
        damping = MODULUS_NOISE**2 / (0.5 * sigma) ** 2
        x = model.solve(target, parameters.cg_iterations, start=clean, damping=damping, anchor=clean)
        clean = denoise_object(x, support, weight, 0.7 * sigma, *denoiser)
    return clean.to(torch.complex64)


def fit(problem, support, real: bool, parameters):
    """Object of least squares, the model around it, and what that model has to explain, as a function of the object."""
    reference = problem.model.static_wavefront(torch.complex128)
    x = torch.zeros(support.shape, dtype=torch.float64 if real else torch.complex128, device=support.device)
    noise = MODULUS_NOISE * (2 * float(support.sum())) ** 0.5
    for _ in range(parameters.relinearisations + 1):
        wave = reference + problem.model.propagate(x.to(torch.complex128)[None])[0]
        model = Linearised(problem, wave, support, real)
        target = residual(problem, model.modulus, parameters.likelihood)
        step = model.solve(target, parameters.cg_iterations)
        target, x = target + model.forward(x), x + step
        if energy(step) < (SETTLED * noise) ** 2:
            break
    return x, model, target


def illumination(problem, support):
    """sqrt(sum_m |P_m|^2), 1 for a plane wave: the noise of an object pixel is that of the exit wave over this."""
    if problem.model.probe_modes is None:
        return torch.ones(support.shape, dtype=torch.float64, device=support.device)
    weight = problem.model.illumination.sqrt().double()
    return weight.clamp(min=1e-3 * float(weight.max()))


def noise_level(problem, model, weight, iterations: int, seed: int) -> float:
    """Standard deviation of the noise of weight * object: least squares applied to nothing but noise.

    Where the twin lies off the support and nothing is masked that is sqrt(1/2).
    """
    generator = torch.Generator().manual_seed(seed & (2**63 - 1))
    noise = MODULUS_NOISE * torch.randn(weight.shape, generator=generator, dtype=torch.float64).to(weight.device)
    answer = (model.solve(noise * problem.measured, iterations) * weight)[model.support]
    return (energy(answer) / (answer.numel() * (1 if model.real else 2))) ** 0.5


def denoise_object(x, support, weight, sigma: float, denoiser: str, checkpoint: str | None = None):
    """The object without its noise; the box around the support is denoised, what lies outside it is 0."""
    ndim = x.ndim
    exit_wave, inside = (fourier.to_centre(a, ndim) for a in (x * weight, support))
    box = tuple(slice(int(i.min()), int(i.max()) + 1) for i in inside.nonzero().T)
    clean = torch.zeros_like(exit_wave)
    clean[box] = denoise(exit_wave[box], sigma, denoiser, checkpoint)
    return fourier.to_corner(clean * inside, ndim) / weight
