"""Beside a strong reference the measured modulus is linear in the object.

    |D + Z| - |D| = Re(sum_m conj(D_m) Z_m) / |D| + O(|Z|^2 / |D|),    Z_m = F (P_m X)

so an object is found by linear least squares; the noise of a modulus has the standard deviation 1/2 for every number of
photons that is not small. What is left to explain is formed in double precision, since the reference may be thousands
of times stronger than the object; the change that explains it is found in single precision.
"""

from __future__ import annotations

import torch


class Linearised:
    """The modulus around wavefronts ``wave`` as a linear function of a change of the object.

    Parameters
    ----------
    problem : Problem
    wave : (*grid) complex128, or (M, *grid) with probe modes, FFT order
    support : (*grid) bool, where the object may change
    real : whether the object is real
    """

    def __init__(self, problem, wave, support, real: bool):
        self.problem, self.support, self.real = problem, support, real
        self.modulus = problem.model.sum_modes(wave.abs().square()[None])[0].sqrt_()
        self.direction = (wave / problem.model.per_mode(self.modulus.clamp(min=1e-150))).to(torch.complex64)

    def forward(self, change):
        """(*grid) complex or real -> change of the modulus (*grid) float32, 0 where not measured."""
        waves = self.problem.model.propagate(change.to(torch.complex64)[None])[0]
        inner = self.direction.real * waves.real + self.direction.imag * waves.imag
        return self.problem.model.sum_modes(inner[None])[0] * self.problem.measured

    def adjoint(self, residual):
        """Adjoint of :meth:`forward`, in the support."""
        back = self.problem.model.backpropagate(
            (self.direction * self.problem.model.per_mode(residual * self.problem.measured))[None]
        )[0]
        return (back.real if self.real else back) * self.support

    def solve(self, target, iterations, start=None, damping=0.0, anchor=None):
        """The change that explains ``target``, see :func:`conjugate_gradients`."""
        zero = torch.zeros(self.support.shape, device=self.support.device)
        zero = zero if self.real else zero.to(torch.complex64)
        start = None if start is None else start.to(zero.dtype)
        anchor = None if anchor is None else anchor.to(zero.dtype)
        return conjugate_gradients(self, target.float(), zero, iterations, start, damping=damping, anchor=anchor)


def conjugate_gradients(model, target, zero, iterations, start=None, tolerance=1e-3, damping=0.0, anchor=None):
    """Minimise sum (forward(x) - target)^2 + damping |x - anchor|^2 by conjugate gradients on the normal equations.

    Parameters
    ----------
    model : has ``forward`` and ``adjoint``
    zero : tensor like x, filled with 0
    start, anchor : like x, optional; 0
    tolerance : share of the first gradient at which to end
    """
    x = zero if start is None else start
    gradient = model.adjoint(target if start is None else target - model.forward(x))
    if damping:
        gradient = gradient + damping * ((zero if anchor is None else anchor) - x)
    direction, power = gradient, energy(gradient)
    enough = tolerance**2 * power
    for _ in range(iterations):
        if not power > enough:
            break
        image = model.forward(direction)
        step = power / (energy(image) + damping * energy(direction))
        x = x + step * direction
        gradient = gradient - step * (model.adjoint(image) + damping * direction)
        before, power = power, energy(gradient)
        direction = gradient + (power / before) * direction
    return x


def energy(array) -> float:
    """Sum of |x|^2."""
    return float(torch.view_as_real(array).square().sum() if array.is_complex() else array.square().sum())


def residual(problem, modulus, likelihood: str, floor: float = 0.25):
    """What the linear model has to explain, in units of the modulus.

    ``amplitude``: sqrt(I) - A. ``poisson``: (I - A^2) / (2 A), the step of Fisher scoring for the Poisson likelihood,
    without the bias that the root has at a few photons; A^2 is at least ``floor`` photons.
    """
    if likelihood == "amplitude":
        return problem.intensity.double().clamp(min=0).sqrt() - modulus
    power = modulus.square()
    return (problem.intensity.double() - power) / (2 * power.clamp(min=floor).sqrt())
