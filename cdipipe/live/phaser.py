"""Batches of centred frames to objects: a method that predicts, and a few iterations where they are asked for."""

from __future__ import annotations

import threading

import numpy as np
import torch

from cdipipe.errors import InputError
from cdipipe.live.frames import batch_size
from cdipipe.ops import projection as ops
from cdipipe.optics import fourier
from cdipipe.optics.forward import ForwardModel
from cdipipe.phasing.predict import predict_on_device
from cdipipe.phasing.problem import Projections
from cdipipe.phasing.recipe import recipe_from_mapping
from cdipipe.phasing.registry import Predictor, Update, get_method


class Phaser:
    """One method at work on frames of one shape.

    Parameters
    ----------
    name : of a method that predicts
    settings : its parameters by name, such as ``checkpoint``
    shape : of a frame, (H, W)
    device : torch device
    iterations : sequence of iterations after the prediction, such as ``20*ER``; empty: none
    every : iterations for every so many-th frame

    Raises
    ------
    InputError   a method that iterates, frames that it cannot take, parameters that are wrong
    """

    def __init__(self, name: str, settings: dict, shape: tuple[int, int], device, iterations: str = "", every: int = 1):
        parameters = check_method(name, settings)
        self.name, self.shape, self.device, self.every = name, shape, torch.device(device), every
        self._predictor = get_method(name).predict(parameters, shape, self.device)
        self._steps = check_iterations(iterations)
        self._since, self._lock = 0, threading.Lock()

    @torch.inference_mode()
    def __call__(
        self, counts: np.ndarray, measured: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Objects of frames with photons.

        Parameters
        ----------
        counts, measured : (B, H, W) float32 photons and bool, centred; each with photons on measured pixels

        Returns
        -------
        objects (B, H, W) complex64 with their photons, supports bool, R-factors (B,) float32, and (B,) bool: which
        of them had iterations
        """
        count = len(counts)
        counts, measured = fill_up(counts), fill_up(measured)
        intensity = torch.from_numpy(counts).to(self.device)
        mask = torch.from_numpy(measured).to(self.device)
        objects, supports, predicted = predict_on_device(self._predictor, intensity, mask)
        r_factors = _r_factors(predicted, intensity, mask).float()
        objects, supports, r_factors = objects[:count], supports[:count], r_factors[:count]
        chosen = self._choose(count)
        if chosen.any():
            where = torch.from_numpy(np.flatnonzero(chosen)).to(self.device)
            objects[where], r_factors[where] = self._iterate(
                objects[where], supports[where], intensity[where], mask[where]
            )
        return (
            objects.cpu().numpy(),
            supports.cpu().numpy(),
            r_factors.cpu().numpy(),
            chosen,
        )

    def warm_up(self, counts: np.ndarray, measured: np.ndarray) -> None:
        """Phase frames for nothing: what is made ready at the first call is not waited for by others."""
        if (counts > 0).any():
            self(counts, measured)
            self._since = 0

    def _choose(self, count: int) -> np.ndarray:
        """Every so many-th frame, counted over batches."""
        if not self._steps:
            return np.zeros(count, bool)
        with self._lock:
            first, self._since = self._since, (self._since + count) % self.every
        return (first + np.arange(count)) % self.every == 0

    def _iterate(self, objects, supports, intensity, mask):
        """Objects after the iterations, and their R-factors."""
        problem = Batch(intensity, mask)
        wave = fourier.to_corner(objects, 2).contiguous()
        support = fourier.to_corner(supports, 2).contiguous()
        for method, parameters in self._steps:
            for iteration in range(parameters.iterations):
                wave, _, _ = method.update(wave, problem, support, parameters, iteration)
        projected, _ = problem.impose_modulus(wave)
        wave = problem.project_object(projected, support)
        return fourier.to_centre(wave, 2), problem.r_factor(wave).float()


class Batch(Projections):
    """Frames of their own each, as methods see a problem.

    Parameters
    ----------
    intensity, measured : (B, H, W) float32 photons and bool, centred
    """

    def __init__(self, intensity: torch.Tensor, measured: torch.Tensor):
        self.ndim, self.shape, self.device = 2, tuple(intensity.shape[1:]), intensity.device
        self.constraint, self.phase_range_rad = "support", ops.HALF_TURN_RANGE
        self.update_object_ = ops.update_object_
        self.model = ForwardModel(2)
        self.intensity = fourier.to_corner(intensity, 2).contiguous()
        self.measured = fourier.to_corner(measured, 2).contiguous()
        self.modulus = self.intensity.clamp(min=0).sqrt_()
        self.modulus_sum = (self.modulus * self.measured).sum((1, 2), dtype=torch.float64)


def fill_up(frames: np.ndarray) -> np.ndarray:
    """Frames with the last one repeated up to a size of :func:`~cdipipe.live.frames.batch_size`."""
    wanted = len(frames)
    while batch_size(wanted) != wanted:
        wanted += 1
    if wanted == len(frames):
        return frames
    return np.concatenate([frames, np.repeat(frames[-1:], wanted - len(frames), axis=0)])


def check_method(name: str, settings: dict):
    """The parameters of a method that predicts.

    Raises
    ------
    InputError   no such method, one that iterates, or wrong parameters
    """
    if not isinstance(get_method(name), Predictor):
        raise InputError(
            f"-m {name}: it iterates; live takes methods that predict, such as cdi_nn, and --then for more"
        )
    return recipe_from_mapping({"method": name, **settings}, name).steps[0][1]


def check_iterations(sequence: str) -> list:
    """Methods and parameters of a sequence such as ``20*ER``.

    Raises
    ------
    InputError   not understood, or a method whose iterations do not stand alone
    """
    if not sequence:
        return []
    steps = recipe_from_mapping({"sequence": sequence, "closing_er": 0.0}, "--then").steps
    for name, _ in steps:
        method = get_method(name)
        if not isinstance(method, Update) or method.all_needs:
            raise InputError(
                f"--then {sequence}: {name} cannot go on from a prediction frame by frame; er, hio, raar can"
            )
    return [(get_method(name), parameters) for name, parameters in steps]


def _r_factors(predicted, intensity, mask):
    """sum |sqrt(predicted) - sqrt(counts)| / sum sqrt(counts) on measured pixels, (B,) float64."""
    modulus = intensity.clamp(min=0).sqrt()
    misfit = (predicted.clamp(min=0).sqrt() - modulus).abs_() * mask
    return misfit.sum((1, 2), dtype=torch.float64) / (modulus * mask).sum((1, 2), dtype=torch.float64)
