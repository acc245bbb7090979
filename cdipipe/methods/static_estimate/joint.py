"""The static structure and the samples beside it as one least-squares problem; FFT order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from cdipipe.phasing.least_squares import Linearised, conjugate_gradients, energy

ROUNDS = 8
"""Gauss-Newton steps of a refinement, at most."""
CG_ITERATIONS = 20
DAMPING = 1e-3
"""Against directions that the patterns hardly see; a well determined one weighs 1/2."""


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
            wave = problem.model.propagate((estimate.static + sample)[None])[0]
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


def refine(problems, estimate: Estimate, static, supports, real: bool) -> Estimate:
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
