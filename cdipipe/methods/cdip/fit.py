"""Fit fields to one pattern: many seeds as one batch, a box that grows, the worst culled, the best state kept."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass

import torch

from cdipipe.errors import InputError
from cdipipe.methods.cdip.model import SMOOTHING, BoxModel
from cdipipe.networks.fields.planes import PlaneField
from cdipipe.optics import fourier
from cdipipe.optics.misfits import misfit, r_factor
from cdipipe.optics.total_variation import total_variation

logger = logging.getLogger(__name__)

CHECK_EVERY = 10
DIVERGED = 10.0
"""A misfit this many times the lowest so far has diverged; and so has one above twice that of no light at all."""
BETAS = (0.9, 0.99)
BEAM_RATE = 0.1
"""Learning rate of the logarithms of coherence width and background."""
LAST_RATE = 0.02
"""Learning rates fall to this share along a cosine."""


@dataclass
class Best:
    """The best state of each seed so far."""

    objects: torch.Tensor
    """(seeds, *box) complex64"""
    score: torch.Tensor
    """(seeds,) misfit: on the withheld pixels if there are any"""
    step: torch.Tensor
    """(seeds,) when it was reached"""


class Fit:
    """Fields of a batch of seeds in one box.

    Parameters
    ----------
    problem : Problem
    box : Box
    generators : one torch.Generator per seed
    parameters : CdipParameters
    support : (seeds, *grid) bool in FFT order, optional
        Where each object may be; the whole box unless given.
    fits : what is fitted of the light: ``coherence``, ``background``
    """

    def __init__(self, problem, box, generators, parameters, support=None, fits=()):
        self.problem, self.box, self.parameters = problem, box, parameters
        depth = box.sides[2] if problem.ndim == 3 else parameters.depth
        self.field = PlaneField(
            (*box.sides[:2], depth),
            generators,
            parameters.channels,
            parameters.hidden,
            parameters.layers,
            parameters.head,
            parameters.omega,
        ).to(problem.device)
        modulus = _expected_modulus(problem, box, support)
        refractive = parameters.output == "refractive"
        self.model = BoxModel(problem, box, len(generators), refractive, modulus, fits)
        index = tuple(i.to(problem.device) for i in box.index(problem.shape))
        self.inside = self.allowed = None if support is None else support[(slice(None), *index)]
        self.origin = torch.arange(len(generators))
        self.alive = torch.ones(len(generators), dtype=torch.bool, device=problem.device)
        self.best = None
        self.optimiser = None
        self.features = _photograph_features(problem, parameters)

    def start_optimiser(self, rate_factor=1.0) -> None:
        """A fresh Adam for everything that is fitted."""
        planes = {"params": list(self.field.planes), "lr": self.parameters.plane_rate * rate_factor}
        others = [p for name, p in self.field.named_parameters() if not name.startswith("planes")]
        network = {"params": others, "lr": self.parameters.network_rate * rate_factor}
        beam = {"params": [p for p in self.model.parameters() if p.requires_grad], "lr": BEAM_RATE}
        groups = [group for group in (planes, network, beam) if group["params"]]
        self.optimiser = torch.optim.Adam(groups, betas=BETAS, fused=True)
        for group in self.optimiser.param_groups:
            group["first_lr"] = group["lr"]

    def objects(self, sides=None) -> torch.Tensor:
        """Objects (seeds, *block) complex64 in the middle of the box."""
        window = self.box.middle(sides or self.box.sides)
        outputs = self.field((*window, slice(None))[:3])
        objects = self.model.exit_wave(outputs)
        if self.inside is None:
            return objects
        outside = float(self.model.refractive)
        return torch.where(self.inside[(slice(None), *window)], objects, outside)

    def imitate(self, targets: torch.Tensor, steps: int, check=lambda: None) -> float:
        """Fit the fields to given objects (seeds, *grid), FFT order; the largest relative residual that is left.

        ``check`` is called at every step and may end it by an exception.
        """
        wanted = targets[(slice(None), *self.model.index)]
        power = wanted.abs().square().sum().clamp(min=1e-20) / len(wanted)
        self.start_optimiser()
        for step in range(steps):
            check()
            self._set_rates(step / steps)
            residual = (self.objects() - wanted).abs().square().flatten(1).sum(1)
            self._descend(residual / power)
        return float((residual / power).detach().max())

    def step(self, sides, loss: str, tv: float, progress: float) -> torch.Tensor:
        """One step of all seeds; R-factor of each, (seeds,)."""
        self._set_rates(progress)
        objects = self.objects(sides)
        predicted = self.model.intensity(objects)
        misfits = misfit(predicted, self.problem.intensity, self.problem.measured, loss)
        total = misfits + tv * total_variation(objects, SMOOTHING * self.model.modulus) if tv else misfits
        if self.features is not None:
            total = total + self.parameters.perceptual * self._perceptual_error(predicted)
        self._descend(total)
        self._last = objects.detach(), predicted.detach(), misfits.detach()
        return r_factor(self._last[1], self.problem.modulus, self.problem.measured, self.problem.modulus_sum)

    def _perceptual_error(self, predicted):
        """Distance of the logarithms of both patterns, both on the scale 0 to 1, times the number of pixels."""
        from cdipipe.networks.losses.perceptual import perceptual_error

        problem = self.problem
        counts = (problem.intensity.clamp(min=0) * problem.measured).log1p()
        pictures = [(predicted * problem.measured).log1p() / counts.max(), (counts / counts.max()).expand_as(predicted)]
        error = perceptual_error(self.features, *(fourier.to_centre(picture, problem.ndim) for picture in pictures))
        return error * counts.numel()

    def check(self, step: int, loss: str) -> None:
        """Note which seeds diverged, and keep the state of those that were never better."""
        objects, predicted, score = self._last
        pixels = self.problem.measured if self.problem.free is None else self.problem.free
        if self.problem.free is not None:
            score = misfit(predicted, self.problem.intensity, pixels, loss)
        dark = misfit(torch.zeros_like(predicted[:1]), self.problem.intensity, pixels, loss)
        if self.best is None:
            nothing = torch.full_like(score, math.inf)
            self.best = Best(self._in_box(objects).clone(), nothing, torch.zeros_like(self.origin))
        ended = ~torch.isfinite(score) | (score > DIVERGED * self.best.score) | (score > 2 * dark)
        self.alive &= ~ended
        better = self.alive & (score < self.best.score)
        self.best.objects[better] = self._in_box(objects)[better]
        self.best.score[better] = score[better]
        self.best.step[better.cpu()] = step

    def forget_scores(self) -> None:
        """Scores before are of another misfit or of a smaller box: what was best then no longer counts."""
        if self.best is not None:
            self.best.score.fill_(math.inf)

    def keep(self, chosen: torch.Tensor) -> None:
        """Go on with some seeds only, given by their places in the batch."""
        for group in self.optimiser.param_groups:
            for parameter in group["params"]:
                parameter.data, parameter.grad = parameter.data[chosen].clone(), None
                moments = self.optimiser.state[parameter]
                for name in ("exp_avg", "exp_avg_sq"):
                    moments[name] = moments[name][chosen].clone()
        for fixed in (p for p in self.model.parameters() if not p.requires_grad):
            fixed.data = fixed.data[chosen]
        self.inside = None if self.inside is None else self.inside[chosen]
        self.allowed = None if self.allowed is None else self.allowed[chosen]
        self.origin, self.alive = self.origin[chosen.cpu()], self.alive[chosen]
        self._last = tuple(part[chosen] for part in self._last)
        if self.best is not None:
            best = self.best
            self.best = Best(best.objects[chosen], best.score[chosen], best.step[chosen.cpu()])

    def result(self) -> torch.Tensor:
        """Objects on the grid: the last state, or the best one of a seed that diverged or had pixels withheld."""
        last = self._in_box(self._last[0])
        if self.best is None:
            return self.model.embed(last)
        early = torch.full_like(self.alive, self.problem.free is not None) | ~self.alive
        return self.model.embed(torch.where(early.reshape(-1, *(1,) * (last.ndim - 1)), self.best.objects, last))

    def shrink(self, sigma_px: float, threshold: float) -> None:
        """Confine each object to where its blurred modulus exceeds a share of the highest (shrink-wrap)."""
        objects = self._in_box(self._last[0])
        changed = (objects - float(self.model.refractive)).abs()
        ndim = objects.ndim - 1
        blurred = fourier.gaussian_blur_corner(changed, sigma_px, ndim)
        inside = blurred > threshold * blurred.amax(tuple(range(-ndim, 0)), keepdim=True)
        self.inside = inside if self.allowed is None else inside & self.allowed

    def confine(self, supports: torch.Tensor) -> None:
        """From now on each object stays inside its support (seeds, *grid), FFT order."""
        inside = supports[(slice(None), *self.model.index)]
        self.inside = inside if self.allowed is None else inside & self.allowed

    def current(self) -> torch.Tensor:
        """Objects of the last step on the grid, (seeds, *grid) complex64."""
        return self.model.embed(self._last[0])

    def _in_box(self, objects):
        if objects.shape[1:] == self.box.sides:
            return objects
        whole = objects.new_full((len(objects), *self.box.sides), float(self.model.refractive))
        whole[(slice(None), *self.box.middle(objects.shape[1:]))] = objects
        return whole

    def _set_rates(self, progress: float) -> None:
        factor = LAST_RATE + (1 - LAST_RATE) * 0.5 * (1 + math.cos(math.pi * progress))
        for group in self.optimiser.param_groups:
            group["lr"] = group["first_lr"] * factor

    def _descend(self, losses: torch.Tensor) -> None:
        self.optimiser.zero_grad(set_to_none=True)
        losses.sum().backward()
        self.optimiser.step()


def _photograph_features(problem, parameters):
    """The network of the perceptual loss, or None where it has no weight."""
    if not parameters.perceptual:
        return None
    if problem.ndim != 2:
        raise InputError("perceptual: the network looks at pictures; for a volume the weight must be 0")
    from cdipipe.networks.losses.perceptual import load_features

    return load_features(parameters.perceptual_weights, str(problem.device))


def _expected_modulus(problem, box, support) -> float:
    """Modulus of an even object: sqrt(photons per pixel); a box is filled by about half."""
    if problem.model.probe_modes is not None:
        return 1.0
    pixels = 0.55 * math.prod(box.sides) if support is None else float(support.sum()) / len(support)
    return math.sqrt(problem.object_photons / max(pixels, 1.0))
