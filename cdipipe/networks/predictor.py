"""Trained networks at work: the checkpoint, patterns on its grid, objects back on theirs."""

from __future__ import annotations

import functools
import logging
from pathlib import Path

import numpy as np
import torch

from cdipipe.errors import InputError
from cdipipe.networks.checkpoint import Checkpoint, read_checkpoint
from cdipipe.networks.flat_objects import predict_refined
from cdipipe.networks.registry import Network, get_network
from cdipipe.networks.resampling import plan_resampling
from cdipipe.networks.views import predict_views

CACHED_PIXELS = 2**16
"""Pixels of the patterns that go through a network together on a CPU: 64 patterns of 32 x 32, 2 volumes of 32^3."""
MANY_MISSING = 0.05
"""Share of a pattern's pixels."""
PEAK_MARGIN = 1.1
"""Factor beyond the usual range of patterns, which leaves out 4 % of them, at which a warning is due."""
logger = logging.getLogger("cdipipe")


class Predictor:
    """A network that turns batches of patterns into objects and supports; see ``Method.predict``.

    Parameters
    ----------
    checkpoint : Checkpoint
    device : torch device
    parameters : of the method: ``precision``, ``support_threshold`` and ``oversampling`` are used
    """

    def __init__(self, checkpoint: Checkpoint, device, parameters):
        self.network, self.settings = checkpoint.network, checkpoint.settings.network
        self.module = checkpoint.build().to(device)
        if hasattr(self.module, "fold"):
            self.module.fold()
        self.module.to(memory_format=best_layout(self.module))
        self.known_peaks = checkpoint.scores.get("peak_over_mean")
        self.support_threshold = parameters.support_threshold
        self.oversampling = parameters.oversampling or self.settings.oversampling
        self.precision, self.views = parameters.precision, getattr(parameters, "views", 1)
        self.refine = getattr(parameters, "refine", 0)
        self.warned = self.warned_of_gaps = False

    def __call__(self, intensity: torch.Tensor, measured: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        counts = fill_gaps(intensity.clamp(min=0), measured)
        self._look_at_gaps(measured)
        small, plans = counts, []
        if any(length != self.settings.size for length in counts.shape[1:]):
            plans = [self._plan(c, m) for c, m in zip(counts, measured, strict=True)]
            shrunk = [plan.shrink(pattern.cpu().numpy()) for plan, pattern in zip(plans, counts, strict=True)]
            small = torch.from_numpy(np.stack(shrunk)).to(counts.device)
        self._look_at(small)
        if self.refine:
            seen = torch.ones_like(small, dtype=torch.bool) if plans else measured
            objects = predict_refined(self._apply_all, small, seen, self.views, self.refine)
        else:
            objects = predict_views(self._apply_all, small, self.views)
        if plans:
            objects = torch.cat([plan.enlarge(item[None]) for plan, item in zip(plans, objects, strict=True)])
        modulus = objects.abs()
        axes = tuple(range(1, modulus.ndim))
        return objects, modulus > self.support_threshold * modulus.amax(axes, keepdim=True)

    def _apply_all(self, patterns: torch.Tensor) -> torch.Tensor:
        return torch.cat([self._apply(part) for part in patterns.split(self._together(patterns))])

    def _apply(self, patterns: torch.Tensor) -> torch.Tensor:
        seen = torch.ones_like(patterns, dtype=torch.bool)
        with torch.autocast(patterns.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            return self.network.apply(self.module, self.settings, patterns, seen)

    @staticmethod
    def _together(patterns: torch.Tensor) -> int:
        """Patterns that share a pass: on a CPU what its caches hold."""
        pixels = patterns[0].numel()
        return len(patterns) if patterns.is_cuda else max(1, CACHED_PIXELS // pixels)

    def _plan(self, counts: torch.Tensor, measured: torch.Tensor):
        arrays = counts.cpu().numpy(), measured.cpu().numpy()
        return plan_resampling(*arrays, self.settings.size, self.oversampling, self.network.name)

    def _look_at_gaps(self, measured: torch.Tensor) -> None:
        """Warn once where much is missing that the network has always seen."""
        missing = 1 - float(measured.float().mean())
        if missing > MANY_MISSING and not self.warned_of_gaps:
            self.warned_of_gaps = True
            message = "%s: %.3g %% of the pixels are not measured; it was trained on whole patterns"
            logger.warning(message, self.network.name, 100 * missing)

    def _look_at(self, patterns: torch.Tensor) -> None:
        """Warn once where the patterns are unlike those of the training."""
        if self.warned or self.known_peaks is None:
            return
        low, high = self.known_peaks
        typical = float(peak_over_mean(patterns).median())
        if not low / PEAK_MARGIN <= typical <= high * PEAK_MARGIN:
            self.warned = True
            advice = "are these moduli, given as photons?" if typical < low else "is a hot pixel among them?"
            message = "%s: the largest modulus of the patterns is %.3g times their mean; in training %.3g to %.3g; %s"
            logger.warning(message, self.network.name, typical, low, high, advice)


def best_layout(module: torch.nn.Module) -> torch.memory_format:
    """Channels last: up to twice as fast on a CPU as channels first, and what tensor cores want."""
    solid = any(isinstance(layer, torch.nn.Conv3d) for layer in module.modules())
    return torch.channels_last_3d if solid else torch.channels_last


def fill_gaps(counts: torch.Tensor, measured: torch.Tensor) -> torch.Tensor:
    """Unmeasured pixels of patterns (B, *grid) as the mean of their measured neighbours; 0 where they have none."""
    if bool(measured.all()):
        return counts
    pool = torch.nn.functional.avg_pool2d if counts.ndim == 3 else torch.nn.functional.avg_pool3d
    weight = measured.to(counts.dtype)
    seen = torch.where(measured, counts, 0.0)
    mean = pool(seen[:, None], 3, 1, 1)[:, 0] / pool(weight[:, None], 3, 1, 1)[:, 0].clamp(min=1e-6)
    return torch.where(measured, counts, mean)


def peak_over_mean(patterns: torch.Tensor) -> torch.Tensor:
    """Largest over mean modulus of patterns (B, *grid) in photons: tells moduli from intensities, whatever the dose."""
    modulus = patterns.clamp(min=0).sqrt().flatten(1)
    return modulus.amax(1) / modulus.mean(1).clamp(min=1e-20)


def usual_peaks(patterns: torch.Tensor) -> list[float]:
    """Range of :func:`peak_over_mean` in which 96 % of these patterns are."""
    shares = torch.tensor([0.02, 0.98], dtype=torch.float64)
    return torch.quantile(peak_over_mean(patterns).double(), shares).tolist()


def predictor_of(network: Network, parameters, pattern_shape: tuple[int, ...], device):
    """What turns batches of patterns into objects: the network's own predictor, or :class:`Predictor`.

    Parameters
    ----------
    parameters : of the network's class ``parameters``
    pattern_shape : of one pattern

    Raises
    ------
    InputError   patterns that do not fit, no weights, or a file that is no checkpoint of this network
    """
    if network.dimensions is not None and len(pattern_shape) != network.dimensions:
        wanted = {2: "patterns of two dimensions", 3: "volumes"}[network.dimensions]
        raise InputError(f"{network.name} takes {wanted}; got patterns of shape {pattern_shape}")
    if network.predict is not None:
        return network.predict(parameters, pattern_shape, device)
    return load_predictor(network.name, parameters, device)


def load_predictor(name: str, parameters, device) -> Predictor:
    """The predictor of ``parameters.checkpoint``; None: of the weights that come with the network.

    Parameters
    ----------
    parameters : PredictionParameters

    Raises
    ------
    InputError   there are none, or the file is no checkpoint of this network
    """
    file = parameters.checkpoint
    path = get_network(name).weights if file is None else Path(file).expanduser()
    if path is None:
        raise InputError(f"{name}: no weights come with the package; train it and give --checkpoint RUN/best.pt")
    changed = path.stat().st_mtime_ns if path.exists() else 0
    return Predictor(_read(str(path), name, changed), device, parameters)


@functools.lru_cache(maxsize=4)
def _read(path: str, name: str, _changed: int) -> Checkpoint:
    return read_checkpoint(path, name)
