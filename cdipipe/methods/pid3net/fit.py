"""The fit of PID3Net's network to one movie."""

from __future__ import annotations

import logging
import math
from types import SimpleNamespace

import numpy as np
import torch
from torch import nn

from cdipipe.networks.pid3net.model import FrameNetwork, draw_weights
from cdipipe.networks.pid3net.refine import Beam, Refinement
from cdipipe.ops.device import lack_of_memory_explained
from cdipipe.optics import fourier
from cdipipe.optics.misfits import amplitude_deviance, poisson_terms
from cdipipe.optics.total_variation import anisotropic_variation
from cdipipe.phasing.steps import JointRun
from cdipipe.phasing.support import one_support

logger = logging.getLogger(__name__)

LAST_RATE = 0.2
DIVERGED = 10.0


class NetworkRun(JointRun):
    """Fit the network, pass after pass over the movie, then draw all frames."""

    def iterate(self):
        with lack_of_memory_explained(self._out_of_memory):
            self._fit = NetworkFit(self.problems, self.start, self.parameters, self.seed)
            yield from self._fit.passes()

    def objects(self):
        with lack_of_memory_explained(self._out_of_memory):
            return self._fit.draw_frames()

    def supports(self):
        lit = fourier.to_centre(self._fit.lit).cpu().numpy()
        return np.broadcast_to(lit, (len(self.problems), *lit.shape))

    def _out_of_memory(self) -> str:
        return (
            f"pid3net: out of memory with {self.parameters.windows} windows of {self.parameters.window} frames of "
            f"{' x '.join(map(str, self.problems[0].shape))} pixels; lower windows, window or refinement_width"
        )


class Model(nn.Module):
    """Network and refinement: what is fitted."""

    def __init__(self, parameters):
        super().__init__()
        own = parameters
        self.network = FrameNetwork(own.width, own.levels)
        self.refinement = Refinement(own.refinement, own.refinement_steps, own.refinement_width)


class NetworkFit:
    """One movie and the model that draws it; arrays in FFT order but for the network's."""

    def __init__(self, problems, start, parameters, seed):
        self.problems, self.own = problems, parameters
        self.random = torch.Generator().manual_seed(seed % 2**63)
        device = problems[0].device
        self.model = Model(parameters)
        draw_weights(self.model, self.random)
        self.model.to(device)
        self.beam = Beam(problems[0].model)
        power = problems[0].model.illumination
        self.lit = power > parameters.illumination * power.max()
        if start.support is not None:
            self.lit = self.lit & one_support(start.support, problems[0])
        self.window = min(parameters.window, len(problems))
        self.light = float(power[self.lit].mean().sqrt())
        self.brightest = max(float(problem.modulus[problem.measured].max()) for problem in problems)

    def passes(self):
        """Yield the R-factor of every pass; ends early if the fit diverges, and goes back to the best weights."""
        own, best, kept = self.own, math.inf, None
        optimiser = self._optimiser()
        try:
            for done in range(own.iterations):
                _set_rate(optimiser, own.rate, done / own.iterations)
                loss, r_factor = self._pass(optimiser)
                if not loss < max(DIVERGED * best, best + DIVERGED):
                    logger.warning(
                        "pid3net: the fit diverged in pass %d of %d; the best weights are kept, try a lower rate",
                        done + 1, own.iterations,
                    )  # fmt: skip
                    return
                if loss < best:
                    best, kept = loss, {name: value.clone() for name, value in self.model.state_dict().items()}
                yield r_factor
        finally:  # also where the loop ends it
            if kept is not None:
                self.model.load_state_dict(kept)

    def _optimiser(self):
        kernels = [weight for weight in self.model.parameters() if weight.ndim > 1]
        others = [weight for weight in self.model.parameters() if weight.ndim <= 1]
        groups = [{"params": kernels, "weight_decay": 2 * self.own.weight_decay}, {"params": others}]
        return torch.optim.Adam(groups, lr=self.own.rate, fused=True)

    def _pass(self, optimiser) -> tuple[float, float]:
        """Mean loss per pixel and R-factor of one pass."""
        self.model.train()
        number = -(-len(self.problems) // self.window)
        firsts = torch.randint(len(self.problems) - self.window + 1, (number,), generator=self.random)
        total = difference = modulus = 0.0
        for some in firsts.split(self.own.windows):
            data = self._load(some)
            drawn, refined = self._draw(data)
            photons = self.beam.photons(refined)
            misfit = self._misfit(photons, data)
            smooth = self.own.tv * self._variation(drawn) + self.own.tv_refined * self._variation(refined)
            loss = (misfit + self.light * smooth) / data.measured.sum()
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            with torch.no_grad():
                difference += float(((photons.sqrt() - data.moduli).abs() * data.measured).sum())
            modulus += float((data.moduli * data.measured).sum())
            total += float(loss.detach()) * len(some)
        return total / number, difference / max(modulus, 1e-30)

    def _load(self, firsts: torch.Tensor) -> SimpleNamespace:
        """Windows that begin at some frames: counts, moduli and mask (B, T, H, W)."""
        windows = [self.problems[first : first + self.window] for first in firsts.tolist()]
        counts, measured = (
            torch.stack([torch.stack([getattr(frame, name) for frame in window]) for window in windows])
            for name in ("intensity", "measured")
        )
        counts = torch.where(measured & (counts > self.own.count_threshold), counts, 0.0)
        return SimpleNamespace(counts=counts, measured=measured, moduli=counts.sqrt())

    def _draw(self, data) -> tuple[torch.Tensor, torch.Tensor]:
        """Transmissions as the decoders draw them, and refined; (B, T, H, W)."""
        drawn = self.model.network(fourier.to_centre(data.moduli) / self.brightest)
        drawn = torch.where(self.lit, fourier.to_corner(drawn), 1.0)
        return drawn, self.model.refinement(drawn, self.beam, data.moduli, data.measured, self.lit)

    def _misfit(self, photons, data):
        """Sum over pixels, in units of the photon noise: about half a unit per pixel at the truth."""
        if self.own.loss == "poisson":
            return (poisson_terms(photons, data.counts)[0] * data.measured).sum()
        return (amplitude_deviance(photons, data.counts) * (data.measured & (data.counts > 0))).sum()

    def _variation(self, objects):
        """Anisotropic total variation in time and both axes; the seam of the array is in the dark."""
        return anisotropic_variation(fourier.to_centre(objects), (1, 2, 3))

    @torch.no_grad()
    def draw_frames(self) -> np.ndarray:
        """All frames from windows side by side, (T, H, W) complex64, centred."""
        self.model.eval()
        last = len(self.problems) - self.window
        firsts = torch.arange(0, len(self.problems), self.window).clamp(max=last)
        frames = np.empty((len(self.problems), *self.problems[0].shape), np.complex64)
        for some in firsts.split(self.own.windows):
            refined = fourier.to_centre(self._draw(self._load(some))[1]).cpu().numpy()
            for first, window in zip(some.tolist(), refined, strict=True):
                frames[first : first + self.window] = window
        return frames


def _set_rate(optimiser, rate: float, progress: float) -> None:
    factor = LAST_RATE + (1 - LAST_RATE) * 0.5 * (1 + math.cos(math.pi * progress))
    for group in optimiser.param_groups:
        group["lr"] = rate * factor
