"""Trained networks at work: the checkpoint, patterns on its grid, objects back on theirs."""

from __future__ import annotations

import functools
import logging
from pathlib import Path

import numpy as np
import torch

from cdipipe.errors import InputError
from cdipipe.networks.checkpoint import Checkpoint, read_checkpoint
from cdipipe.networks.resampling import plan_resampling

WEIGHTS = Path(__file__).parent / "weights"
logger = logging.getLogger("cdipipe")


class Predictor:
    """A network that turns batches of patterns into objects and supports; see ``Method.predict``.

    Parameters
    ----------
    checkpoint : Checkpoint
    support_threshold : share of the largest modulus of an object above which its support is
    oversampling : what patterns of another size are brought to
    """

    def __init__(self, checkpoint: Checkpoint, device, support_threshold: float, oversampling: float):
        self.network, self.settings = checkpoint.network, checkpoint.settings.network
        self.module = checkpoint.build().to(device)
        if hasattr(self.module, "fold"):
            self.module.fold()
        self.known_peaks = checkpoint.scores.get("peak_over_mean")
        self.support_threshold, self.oversampling = support_threshold, oversampling
        self.warned = False

    def __call__(self, intensity: torch.Tensor, measured: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        counts = torch.where(measured, intensity.clamp(min=0), 0.0)
        plans = [self._plan(c, m) for c, m in zip(counts, measured, strict=True)]
        if all(plan.is_identity for plan in plans):
            small = counts
        else:
            shrunk = [plan.shrink(pattern.cpu().numpy()) for plan, pattern in zip(plans, counts, strict=True)]
            small = torch.from_numpy(np.stack(shrunk)).to(counts.device)
        self._look_at(small)
        objects = self.network.apply(self.module, self.settings, small, torch.ones_like(small, dtype=torch.bool))
        if small is not counts:
            objects = torch.cat([plan.enlarge(item[None]) for plan, item in zip(plans, objects, strict=True)])
        modulus = objects.abs()
        axes = tuple(range(1, modulus.ndim))
        return objects, modulus > self.support_threshold * modulus.amax(axes, keepdim=True)

    def _plan(self, counts: torch.Tensor, measured: torch.Tensor):
        arrays = counts.cpu().numpy(), measured.cpu().numpy()
        return plan_resampling(*arrays, self.settings.size, self.oversampling, self.network.name)

    def _look_at(self, patterns: torch.Tensor) -> None:
        """Warn once where the patterns are unlike those of the training."""
        if self.warned or self.known_peaks is None:
            return
        low, high = self.known_peaks
        typical = float(peak_over_mean(patterns).median())
        if not low <= typical <= high:
            self.warned = True
            advice = "are these moduli, given as photons?" if typical < low else "is a hot pixel among them?"
            message = "%s: the largest modulus of the patterns is %.3g times their mean; in training %.3g to %.3g; %s"
            logger.warning(message, self.network.name, typical, low, high, advice)


def peak_over_mean(patterns: torch.Tensor) -> torch.Tensor:
    """Largest over mean modulus of patterns (B, *grid) in photons: tells moduli from intensities, whatever the dose."""
    modulus = patterns.clamp(min=0).sqrt().flatten(1)
    return modulus.amax(1) / modulus.mean(1).clamp(min=1e-20)


def usual_peaks(patterns: torch.Tensor) -> list[float]:
    """Range of :func:`peak_over_mean` in which 96 % of these patterns are."""
    shares = torch.tensor([0.02, 0.98], dtype=torch.float64)
    return torch.quantile(peak_over_mean(patterns).double(), shares).tolist()


def load_predictor(name: str, file: str | None, device, support_threshold: float, oversampling: float) -> Predictor:
    """The predictor of a checkpoint's file; None: of the weights that come with the package.

    Raises
    ------
    InputError   there are none, or the file is no checkpoint of this network
    """
    path = WEIGHTS / f"{name}.pt" if file is None else Path(file).expanduser()
    if file is None and not path.exists():
        raise InputError(f"{name}: no weights come with the package; train it and give --checkpoint RUN/best.pt")
    changed = path.stat().st_mtime_ns if path.exists() else 0
    return Predictor(_read(str(path), name, changed), device, support_threshold, oversampling)


@functools.lru_cache(maxsize=4)
def _read(path: str, name: str, _changed: int) -> Checkpoint:
    return read_checkpoint(path, name)
