"""One network on its way to an object."""

from __future__ import annotations

import logging
import math

import torch

from cdipipe.errors import InputError
from cdipipe.methods.dip.outputs import count_channels, shape_object
from cdipipe.methods.dip.scale import estimate_scale
from cdipipe.methods.dip.stopping import StopAtMisfit, StopAtVariance, StopNever
from cdipipe.networks.layers.unet import make_unet
from cdipipe.optics import fourier
from cdipipe.optics.total_variation import total_variation

logger = logging.getLogger(__name__)
PIXEL_NOISE = 0.5**0.5
"""Noise of an object pixel beside a strong static region, square root of photons."""

SMOOTHING = 0.1
"""Step between pixels that counts as none in total variation, square root of photons."""
LEAST_SIDE = 2
"""Pixels along each axis on the coarsest level: of a single one there is no mean and spread to normalise by."""


class NetworkStart:
    """A network, its input, its optimiser, and the object that it stands for.

    Parameters
    ----------
    problem : Problem
    misfit : Misfit
    support : (*grid) bool, FFT order
    seed : decides weights and noise
    parameters : UntrainedNetworkParameters

    Attributes
    ----------
    done : whether the fit has ended
    generator : weights, input and jitter come from it, and what is drawn after the fit
    """

    def __init__(self, problem, misfit, support, seed, parameters):
        self.problem, self.misfit, self.parameters = problem, misfit, parameters
        self.generator = generator = torch.Generator("cpu").manual_seed(seed % 2**63)
        centred = fourier.to_centre(support, problem.ndim)
        self.box = bounding_box(centred)
        self.inside = centred[self.box]
        shape = [self._padded(size) for size in self.inside.shape]
        self.window = tuple(
            slice((p - s) // 2, (p - s) // 2 + s) for p, s in zip(shape, self.inside.shape, strict=True)
        )
        self.input = make_input(problem, shape, parameters, generator)
        self.network = make_unet(
            generator,
            problem.device,
            in_channels=self.input.shape[1],
            out_channels=count_channels(problem.constraint),
            width=parameters.width,
            levels=parameters.levels,
            skip=parameters.skip,
            ndim=problem.ndim,
        )
        # channels side by side in memory: a tenth faster on a CPU
        layout = torch.channels_last if problem.ndim == 2 else torch.channels_last_3d
        self.network, self.input = self.network.to(memory_format=layout), self.input.to(memory_format=layout)
        scale = parameters.scale_k or estimate_scale(problem, support)
        self.log_scale = torch.tensor(math.log(scale), device=problem.device, requires_grad=parameters.scale_k is None)
        self.jitter = parameters.jitter * PIXEL_NOISE / scale if parameters.network_input == "noise" else 0.0
        weights = [*self.network.parameters(), *([self.log_scale] if parameters.scale_k is None else [])]
        self.optimiser = torch.optim.Adam(weights, parameters.rate, fused=True)
        self.stop, self.mean, self.count, self.done = self._make_stop(), None, 0, False

    def _make_stop(self):
        parameters = self.parameters
        if parameters.stop == "misfit":
            evaluate = lambda block: self.misfit.evaluate(self.place(block))  # noqa: E731
            return StopAtMisfit(parameters.misfit_share, self.misfit.expected, evaluate)
        return StopAtVariance(parameters.window, parameters.patience) if parameters.stop == "wmv" else StopNever()

    def _padded(self, size):
        stride = 2**self.parameters.levels
        return max(-(-(size + 2 * self.parameters.margin_px) // stride), LEAST_SIDE) * stride

    def output(self):
        """The network's object in the support's box, (*box) complex64, with its graph."""
        channels = self.network(self._jittered_input())[0][(slice(None), *self.window)]
        scale = self.log_scale.exp()
        return shape_object(channels, scale, self.problem.constraint, self.problem.phase_range_rad) * self.inside

    def _jittered_input(self):
        if not self.jitter:
            return self.input
        drawn = torch.randn(self.input.shape, generator=self.generator).to(self.input.device)
        return torch.add(self.input, drawn, alpha=self.jitter)

    def place(self, block):
        """A block in the support's box as an object on the grid, FFT order."""
        whole = block.new_zeros(self.problem.shape)
        whole[self.box] = block
        return fourier.to_corner(whole, self.problem.ndim)

    def warm_up(self, object_, iterations, check=lambda: None):
        """Fit the network to an object, (*grid) complex64 in FFT order; ``check`` may end it by an exception."""
        target = fourier.to_centre(object_, self.problem.ndim)[self.box] * self.inside
        for _ in range(iterations):
            check()
            output = self.output()
            self._descend(output, output.detach() - target, 1.0)
        self.optimiser.state.clear()

    def step(self) -> float:
        """One step of the optimiser; the R-factor of the output before it."""
        output = self.output()
        residual = self.misfit.evaluate(self.place(output.detach()))
        if not math.isfinite(residual.misfit):
            return self._give_up(residual)
        gradient = fourier.to_centre(residual.gradient, self.problem.ndim)[self.box]
        self._average(output.detach())
        self.done = self.stop.update(output.detach(), self.mean, residual)
        if not self.done:
            self._descend(output, gradient, self._rate_share())
            self.count += 1
        return residual.r_factor

    def object(self):
        """The result so far, (*grid) complex64, FFT order."""
        return self.place(self.stop.best)

    def _descend(self, output, gradient, rate_share):
        """One step of the weights, given the derivative by the output."""
        for group in self.optimiser.param_groups:
            group["lr"] = self.parameters.rate * rate_share
        self.optimiser.zero_grad()
        gradient = gradient * self.inside
        loss = (output.real * gradient.real + output.imag * gradient.imag).sum()
        if self.parameters.tv:
            loss = loss + self.parameters.tv * total_variation(output[None], SMOOTHING, "repeat").sum()
        loss.backward()
        self.optimiser.step()

    def _rate_share(self):
        last = self.parameters.final_rate
        return last + (1 - last) * 0.5 * (1 + math.cos(math.pi * self.count / self.parameters.iterations))

    def _average(self, output):
        """Running mean of the outputs, each of the first ones with its due share."""
        memory = self.parameters.average
        share = (1 - memory) / (1 - memory ** (self.count + 1))
        self.mean = output.clone() if self.mean is None else self.mean.lerp(output, share)

    def _give_up(self, residual):
        self.done = True
        if self.mean is None:
            raise InputError("the misfit of the first output is NaN: does the measurement hold invalid counts?")
        logger.warning("the fit diverged after %d iterations and keeps what it had; try a lower rate", self.count)
        return residual.r_factor


def make_input(problem, shape, parameters, generator):
    """What the network is given, (1, C, *shape) float32: uniform noise of width 0.1, or the pattern's logarithm."""
    if parameters.network_input == "noise":
        noise = torch.rand((1, parameters.input_channels, *shape), generator=generator)
        return (0.1 * noise).to(problem.device)
    pattern = fourier.to_centre(problem.intensity.clamp(min=0) * problem.measured, problem.ndim).log1p()
    resized = torch.nn.functional.interpolate(
        pattern[None, None],
        tuple(shape),
        mode="bilinear" if problem.ndim == 2 else "trilinear",
        antialias=problem.ndim == 2,
    )
    return (resized - resized.mean()) / resized.std().clamp(min=1e-6)


def bounding_box(support):
    """Slices of the smallest box that holds a centred support."""
    box = []
    for axis in range(support.ndim):
        others = tuple(a for a in range(support.ndim) if a != axis)
        inside = support.any(dim=others).nonzero()
        box.append(slice(int(inside.min()), int(inside.max()) + 1))
    return tuple(box)
