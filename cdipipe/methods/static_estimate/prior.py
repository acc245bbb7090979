"""What a denoiser knows of the samples makes the static structure beside them better; FFT order.

Static structure and samples found together share the noise between them. Where few photons fell on a sample, its
denoised image is far nearer to it than least squares, and held near that image it leaves less of the noise to the
static structure, and so to every method that takes the structure as known.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from cdipipe.methods.reference_lsq.referenced import MODULUS_NOISE, denoise_object, illumination
from cdipipe.methods.static_estimate.joint import Estimate, Joint, refine
from cdipipe.phasing.least_squares import conjugate_gradients, energy

STEPS = 4
"""Gauss-Newton steps beside one denoised image, at most."""
CG_ITERATIONS = 40
PROBE_SHARE = 0.1
"""Disturbance that measures a denoiser's divergence, in units of the noise."""
LEAST_ERROR = 0.15
"""The error of a denoised image is at least this share of the noise: an unbiased estimate may be 0 or less."""


@dataclass(frozen=True)
class Anchored:
    """A joint linear model whose samples are held near images: residuals of the data, and of the images.

    Parameters
    ----------
    joint : Joint
    strength : (T, *grid) square root of the weight of each sample pixel's distance from its image
    """

    joint: Joint
    strength: torch.Tensor

    def forward(self, x):
        return torch.stack([self.joint.forward(x).to(x.dtype), self.strength * x[1:]])

    def adjoint(self, residuals):
        data = residuals[0] if not residuals.is_complex() else residuals[0].real
        back = self.joint.adjoint(data)
        back[1:] += self.strength * residuals[1]
        return back


def refine_with_prior(problems, estimate: Estimate, places, kind: str, rounds: int, seed: int) -> Estimate:
    """The estimate after so many rounds of: samples by least squares, denoised, static structure beside them.

    Parameters
    ----------
    places : static, supports, real, as ``refine`` has them
    kind : denoiser
    seed : of the noise that measures the denoiser's error

    Returns
    -------
    Estimate whose samples are those of least squares beside its static structure; the scores are the given one's
    """
    static, supports, real = places
    alone = torch.zeros_like(static), supports, real
    kept = {name: getattr(estimate, name) for name in ("ratio", "expected", "tries", "hops", "accepted")}
    generator = torch.Generator().manual_seed(seed & (2**63 - 1))
    for _ in range(rounds):
        estimate = refine(problems, estimate, *alone)
        images, strengths = _denoise_samples(problems, estimate, alone, kind, generator)
        estimate = _beside(problems, Estimate(estimate.static, images), images, strengths, places)
    samples = refine(problems, estimate, *alone).samples
    return Estimate(estimate.static, samples, **kept)


def _denoise_samples(problems, estimate: Estimate, alone, kind: str, generator):
    """Denoised samples and, from their expected errors, how strongly to hold to them, (T, *grid) each."""
    _, supports, real = alone
    # what least squares makes of nothing but noise tells the noise of the samples
    joint = Joint(problems, estimate, *alone)
    noise = MODULUS_NOISE * torch.randn(supports.shape, generator=generator).to(supports.device)
    answers = conjugate_gradients(joint, noise, _zero(estimate, real), CG_ITERATIONS)[1:]
    images, strengths = [], []
    for problem, support, sample, answer in zip(problems, supports, estimate.samples, answers, strict=True):
        weight = illumination(problem, support)
        sigma = _spread((answer * weight)[support])
        sample = sample.real if real else sample
        clean, error = denoise_and_judge(sample, support, weight, sigma, kind, generator)
        images.append((clean.clamp(min=0) if real else clean).to(torch.complex128))
        strengths.append((MODULUS_NOISE / error * weight * support).float())
    return torch.stack(images), torch.stack(strengths)


def denoise_and_judge(sample, support, weight, sigma: float, kind: str, generator):
    """Denoised sample and its expected error, by Stein's unbiased estimate.

    References
    ----------
    Ramani, Blu, Unser, IEEE Trans. Image Process. 17, 1540 (2008), doi:10.1109/TIP.2008.2001404
    """
    clean = denoise_object(sample, support, weight, sigma, kind)
    probe = torch.randn(sample.shape, generator=generator, dtype=torch.float64).to(sample) * support / weight
    if sample.is_complex():
        probe = probe + 1j * torch.randn(sample.shape, generator=generator, dtype=torch.float64).to(sample) * (
            support / weight
        )
    step = PROBE_SHARE * sigma
    change = denoise_object(sample + step * probe, support, weight, sigma, kind) - clean
    inner = ((probe.conj() * change).real * weight.square())[support].sum()
    parts = float(support.sum()) * (2 if sample.is_complex() else 1)
    removed = energy(((clean - sample) * weight)[support]) / parts
    variance = removed - sigma**2 + 2 * sigma**2 * float(inner) / (step * parts)
    return clean, max(variance, (LEAST_ERROR * sigma) ** 2) ** 0.5


def _beside(problems, estimate: Estimate, images, strengths, places) -> Estimate:
    """Static structure and samples of least squares with the samples held near images."""
    static, supports, real = places
    for _ in range(STEPS):
        model = Anchored(Joint(problems, estimate, static, supports, real), strengths)
        zero = _zero(estimate, real)
        away = images - estimate.samples
        data = model.joint.residuals(problems).to(zero.dtype)
        target = torch.stack([data, strengths * (away.real if real else away)]).to(zero.dtype)
        change = conjugate_gradients(model, target, zero, CG_ITERATIONS)
        estimate = Estimate(estimate.static + change[0], estimate.samples + change[1:])
        if energy(change) < 1e-3 * change.ne(0).sum():
            break
    return estimate


def _zero(estimate: Estimate, real: bool):
    shape = (1 + len(estimate.samples), *estimate.static.shape)
    return torch.zeros(shape, dtype=torch.float32 if real else torch.complex64, device=estimate.static.device)


def _spread(values) -> float:
    """Standard deviation of each real part."""
    return (energy(values) / (values.numel() * (2 if values.is_complex() else 1))) ** 0.5
