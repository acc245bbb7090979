"""How far an object is from the counts, with the precision that a strong static region asks for.

Beside a static region the wavefront is z = D + Z, D that of the static region and Z that of the object, and D may be
thousands of times larger. The modulus |z| differs from the measured b by

    (|z| - |D|) - (b - |D|),   |z| - |D| = (2 Re(D* Z) + |Z|^2) / (|z| + |D|)

where the first bracket is formed without a difference of large numbers and the second once, in double precision.

The pattern of a real object (and static region, in real light) is the same at k and -k: both pixels measure one number,
and their mean takes the noise out that no such object can explain before the fit begins.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

COUNTING_NOISE = 0.5
"""Standard deviation of the root of many Poisson counts."""
TABLE_STEP = 0.05
TABLE_END = 8.0


@dataclass(frozen=True)
class Residual:
    """What the detector says of one object."""

    misfit: float
    """sum over independent pixels of (|z| - b)^2, b the root of the mean of the counts"""
    r_factor: float
    gradient: torch.Tensor
    """(*grid) complex64: derivative of the loss by the real part of the object, plus i times that by the imaginary"""
    predicted: torch.Tensor
    """photons, (*grid)"""
    error: torch.Tensor
    """(1, *grid) float32: |z| - b"""


class Misfit:
    """The loss of an object, its gradient, and the misfit that counting noise explains.

    Parameters
    ----------
    problem : Problem
    loss : ``amplitude``: sum (|z| - b)^2; ``poisson``: sum (|z|^2 - I ln |z|^2)

    Attributes
    ----------
    times : (*grid) float64, how often the number at k was measured: twice where k and -k agree, once, or never
    share : (*grid) float64, 1 over the pixels that show the same number
    """

    def __init__(self, problem, loss="amplitude"):
        self.problem, self.loss = problem, loss
        measured = problem.measured.to(torch.float64)
        self.times = add_partners(problem, measured)
        self.share = 1 / add_partners(problem, torch.ones_like(measured))
        counts = add_partners(problem, problem.intensity.to(torch.float64).clamp(min=0) * measured)
        modulus = (counts / self.times.clamp(min=1)).sqrt()
        reference = problem.model.static_wavefront(torch.complex128)
        self.reference = None if reference is None else reference.to(torch.complex64)
        length = torch.zeros_like(modulus) if reference is None else _modulus(problem, reference)
        self.reference_modulus = length.to(torch.float32)
        self.excess = (modulus - length).to(torch.float32)
        self.modulus = modulus.to(torch.float32)
        self.raw_excess = (problem.modulus.to(torch.float64) - length).to(torch.float32)
        self.weight = (self.times * self.share).to(torch.float32)

    @torch.no_grad()
    def evaluate(self, object_) -> Residual:
        """Compare one object, (*grid) complex64 in FFT order, with the counts."""
        wave, modulus, change = self._propagate(object_)
        error = change - self.excess
        weighted = error * self.weight
        model = self.problem.model
        gradient = model.backpropagate(model.per_mode(2 * weighted * self._slope(modulus)) * wave)[0]
        raw = (change - self.raw_excess).abs_().mul_(self.problem.measured).sum(dtype=torch.float64)
        misfit = float((weighted * error).sum(dtype=torch.float64))
        return Residual(misfit, float(raw) / self.problem.modulus_sum, gradient, modulus[0].square(), error)

    @torch.no_grad()
    def directions(self, object_):
        """z / |z| of an object, (1, *grid) or (1, M, *grid) complex64: how moduli change with their wavefronts."""
        wave, modulus, _ = self._propagate(object_)
        return wave / self.problem.model.per_mode(modulus).clamp(min=1e-20)

    def draw_noise(self, generator):
        """Counting noise of the moduli that are compared, (1, *grid) float32; of many photons."""
        drawn = torch.randn(self.problem.shape, generator=generator).to(self.problem.device) * self.problem.measured
        return (add_partners(self.problem, COUNTING_NOISE * drawn) / self.times.clamp(min=1)).to(torch.float32)[None]

    def _propagate(self, object_):
        """Wavefront z, modulus |z|, and |z| - |D| without a difference of large numbers."""
        wave = self.problem.model.propagate(object_[None])
        power = self.problem.model.sum_modes(wave.abs().square())
        if self.reference is not None:
            power = power + 2 * self.problem.model.sum_modes((self.reference.conj() * wave).real)
            wave = wave + self.reference
        modulus = self.problem.model.sum_modes(wave.abs().square()).sqrt_()
        return wave, modulus, power / (modulus + self.reference_modulus).clamp_(min=1e-20)

    def expected(self, predicted) -> float:
        """The misfit of an object that is right but for counting noise, given the photons that it predicts."""
        variance = modulus_variance(self.times * predicted) * self.share * (self.times > 0)
        return float(variance.sum())

    def _slope(self, modulus):
        """Derivative of the loss by |z| over the error, over |z|."""
        if self.loss == "amplitude":
            return 1 / modulus.clamp(min=1e-20)
        return (modulus + self.modulus) / modulus.square().clamp(min=1e-3)  # the floor is in photons


def add_partners(problem, array):
    """An array over the detector, zero where nothing was measured, plus its mirror image where both show one number."""
    if not is_centrosymmetric(problem):
        return array
    return array + mirror(array) * has_partner(problem.shape, problem.device)


def is_centrosymmetric(problem) -> bool:
    """Whether every object that satisfies the constraint has the same pattern at k and -k."""
    model = problem.model
    others = [array for array in (model.static_region, model.probe_modes) if array is not None]
    return problem.constraint == "real_nonneg" and not any(bool(array.imag.any()) for array in others)


def mirror(array):
    """The array at -k; FFT order."""
    axes = tuple(range(array.ndim))
    return array.flip(axes).roll((1,) * array.ndim, axes)


def has_partner(shape, device):
    """(*grid) float64: 0 where k and -k are the same pixel, 1 elsewhere; FFT order."""
    index = torch.arange(torch.Size(shape).numel(), device=device).reshape(shape)
    return (mirror(index) != index).to(torch.float64)


def _modulus(problem, wavefront):
    return problem.model.sum_modes(wavefront[None].abs().square())[0].sqrt()


def modulus_variance(photons):
    """E (sqrt(n) - sqrt(photons))^2 of Poisson counts n: 1/4 for many photons, 2 * photons for very few.

    Parameters
    ----------
    photons : float tensor, expected counts
    """
    table = _variance_table().to(photons.device)
    root = photons.clamp(min=0).to(torch.float32).sqrt()
    place = (root / TABLE_STEP).clamp(max=len(table) - 1.001)
    low = place.long()
    inside = torch.lerp(table[low], table[low + 1], place - low)
    # beyond the table: variance and squared bias of the root to first order
    return torch.where(root < TABLE_END, inside, 0.25 + 0.109375 / photons.clamp(min=1).to(torch.float32))


def _variance_table():
    roots = torch.arange(0, TABLE_END + 2 * TABLE_STEP, TABLE_STEP, dtype=torch.float64)[:, None]
    counts = torch.arange(0, 160, dtype=torch.float64)
    log_share = torch.special.xlogy(counts, roots**2) - roots**2 - torch.lgamma(counts + 1)
    return (log_share.exp() * (counts.sqrt() - roots).square()).sum(1).to(torch.float32)
