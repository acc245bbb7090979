"""Other objects that the same experiment could have given: from other starts, and from other draws of the counts."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from cdipipe.measurement import Measurement, Reconstruction
from cdipipe.metrics.statistics import align_runs
from cdipipe.ops import projection as ops
from cdipipe.optics import fourier, moduli
from cdipipe.optics.forward import ForwardModel
from cdipipe.optics.noise import poisson, thin

BETA = 0.85
"""Relaxation of RAAR, which phases from random starts."""
BATCH_PIXELS = 2**23
"""Pixels of all the replicas that are phased at once."""
CLOSING_SHARE = 0.3
"""Share of error reduction at the end of a random start."""


class Replicator:
    """Phases one pattern again and again as one batch, inside the support of a result.

    Parameters
    ----------
    result : Reconstruction of stack ``single`` or ``volume``
    measurement : what it was made from
    seed : of all random numbers
    """

    def __init__(self, result: Reconstruction, measurement: Measurement, seed: int):
        self.ndim = result.object.ndim
        known = "ndim" in result.forward
        self.model = ForwardModel.from_dict(result.forward) if known else ForwardModel.of_measurement(measurement)
        measured = measurement.measured
        if result.free_pixels is not None:
            measured = measured & ~result.free_pixels
        self.measured = self._corner(measured)
        self.counts = self._corner(np.asarray(measurement.intensity, np.float32)).clamp(min=0)
        self.object = self._corner(np.asarray(result.object, np.complex64))
        self.support = self._corner(result.support)
        self.constraint = result.recipe.get("constraint", "support")
        self.phase_range = tuple(result.recipe.get("phase_range_rad", (-np.pi / 2, np.pi / 2)))
        self.centred = np.asarray(result.object, np.complex64)
        self.random = np.random.default_rng([seed, 0xE440])

    def _corner(self, array: np.ndarray) -> torch.Tensor:
        return fourier.to_corner(torch.from_numpy(np.ascontiguousarray(array)), self.ndim).contiguous()

    def predicted(self) -> np.ndarray:
        """(*grid) photons that the result predicts, FFT order, float64."""
        return self.model.predict_intensity(self.object).double().clamp(min=0).numpy()

    def parametric(self, count: int, iterations: int) -> np.ndarray:
        """Objects of counts drawn anew from the result's pattern, (count, *grid) complex64, aligned to the result."""
        mean = self.predicted()

        def drawn(n: int) -> np.ndarray:
            return self._warm(poisson(np.broadcast_to(mean, (n, *mean.shape)), self.random), iterations)

        return self._in_batches(count, drawn)

    def thinned(self, count: int, iterations: int) -> np.ndarray:
        """Objects of the measured counts, thinned to a half and doubled, which has the variance of the counts."""
        counts = self.counts.numpy()
        return self._in_batches(count, lambda n: self._warm(2 * thin(counts, 0.5, self.random, n), iterations))

    def restarted(self, count: int, iterations: int) -> np.ndarray:
        """Objects of the measured counts from random starts, (count, *grid) complex64, aligned to the result."""
        return self._in_batches(count, lambda n: self._restart(n, iterations))

    def _restart(self, count: int, iterations: int) -> np.ndarray:
        noise = self.random.standard_normal((2, count, *self.counts.shape)).astype(np.float32)
        start = torch.from_numpy(noise[0] + 1j * noise[1]) * self.support
        power = (self.object.abs().square().sum() / start.abs().square().sum().clamp(min=1e-30) * count).sqrt()
        modulus = self.counts.sqrt().expand(count, *self.counts.shape)
        closing = max(1, round(CLOSING_SHARE * iterations))
        found = self._reduce(self._relax(start * power, modulus, iterations - closing), modulus, closing)
        return self._laid(found, twin=True)

    def _in_batches(self, count: int, make: Callable[[int], np.ndarray]) -> np.ndarray:
        """What ``make`` gives for so many replicas, as many at once as suit the memory."""
        most = max(1, BATCH_PIXELS // self.counts.numel())
        return np.concatenate([make(min(most, count - done)) for done in range(0, count, most)])

    def misfit(self) -> np.ndarray:
        """(*grid) float32, centred: how far imposing the measured moduli moves each pixel of the result."""
        moved = moduli.impose_modulus(self.model, self.object[None], self.counts.sqrt(), self.measured)[0][0]
        return fourier.to_centre((moved - self.object).abs(), self.ndim).numpy()

    def _warm(self, counts: np.ndarray, iterations: int) -> np.ndarray:
        modulus = torch.from_numpy(counts).sqrt_()
        start = self.object.expand(len(counts), *self.object.shape).clone()
        found = self._reduce(start, modulus, iterations)
        return self._laid(found, twin=False)

    def _impose(self, exit_wave, modulus):
        return moduli.impose_modulus(self.model, exit_wave, modulus, self.measured)[0]

    def _project(self, exit_wave):
        return ops.project_object(exit_wave, self.support, self.constraint, self.phase_range)

    def _reduce(self, exit_wave, modulus, iterations: int):
        for _ in range(iterations):
            exit_wave = self._project(self._impose(exit_wave, modulus))
        return exit_wave

    def _relax(self, exit_wave, modulus, iterations: int):
        """RAAR (Luke 2005): u <- beta (P_S(2 P_M u - u) + u - P_M u) + (1 - beta) P_M u."""
        for _ in range(iterations):
            exit_wave = ops.update_object_(
                exit_wave,
                self._impose(exit_wave, modulus),
                self.support,
                self.constraint,
                a=BETA,
                b=1 - 2 * BETA,
                c=BETA,
                g=1.0,
                phase_range_rad=self.phase_range,
            )
        return exit_wave

    def _laid(self, objects: torch.Tensor, twin: bool) -> np.ndarray:
        """Objects (R, *grid) laid over the result, as far as the pattern leaves their place and phase open."""
        return align_runs(self.centred, fourier.to_centre(objects, self.ndim).numpy(), self.model.freedom, twin)
