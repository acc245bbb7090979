"""DPR at work on measured patterns: its checkpoint, one plan per mask, objects on the patterns' grid."""

from __future__ import annotations

import functools
import logging
from pathlib import Path

import torch
from torch import Tensor

from cdipipe.errors import InputError
from cdipipe.networks.checkpoint import read_checkpoint
from cdipipe.networks.dpr.inference import FusedDPR, MaskPlan
from cdipipe.networks.dpr.model import in_whole_grid
from cdipipe.networks.predictor import peak_over_mean

logger = logging.getLogger("cdipipe")

SUPPORT_QUANTILE = 0.99


class DprPredictor:
    """Batches of patterns to objects and supports, see ``Method.predict``.

    Parameters
    ----------
    network : FusedDPR
    support_threshold : share of an object's 99 % quantile above which its support is
    usual_peaks : range of largest over mean modulus of the patterns of the training; None: unknown
    """

    def __init__(self, network: FusedDPR, support_threshold: float, usual_peaks: tuple[float, float] | None = None):
        self.network, self.size, self.support_threshold = network, network.size, support_threshold
        self.usual_peaks = usual_peaks
        self._plan: MaskPlan | None = None
        self._warned = False

    def __call__(self, intensity: Tensor, measured: Tensor) -> tuple[Tensor, Tensor]:
        """(B, size, size) photons and bool to complex64 objects and bool supports, all centred.

        Raises
        ------
        InputError   a mask without a single measured pixel
        """
        self._look_at(intensity, measured)
        shared = bool((measured == measured[:1]).all())
        if shared:
            objects = self.network(intensity, self._plan_of(measured[0]))
        else:
            pairs = zip(intensity.split(1), measured, strict=True)
            objects = torch.cat([self.network(item, self._plan_of(mask)) for item, mask in pairs])
        quantile = torch.quantile(objects.flatten(1), SUPPORT_QUANTILE, dim=1)[:, None, None]
        whole = in_whole_grid(objects, self.size)
        return whole, whole.real > self.support_threshold * quantile

    def _plan_of(self, measured: Tensor) -> MaskPlan:
        """The plan of a mask; that of the last one is kept, and taken only for the same mask."""
        if not measured.any():
            raise InputError("dpr: every pixel of a pattern is masked; nothing can be reconstructed")
        if self._plan is None or not torch.equal(self._plan.measured, measured):
            self._plan = self.network.plan(measured)
        return self._plan

    def _look_at(self, intensity: Tensor, measured: Tensor) -> None:
        """Warn once where patterns are unlike those of the training: the network takes photons, on a linear scale."""
        if self._warned or self.usual_peaks is None:
            return
        low, high = self.usual_peaks
        typical = float(peak_over_mean(torch.where(measured, intensity, 0)).median())
        if not low <= typical <= high:
            self._warned = True
            advice = "are these moduli, given as photons?" if typical < low else "is a hot pixel among them?"
            message = "dpr: the largest modulus of the patterns is %.3g times their mean; in training %.3g to %.3g; %s"
            logger.warning(message, typical, low, high, advice)


def load_dpr(file: str, device, support_threshold: float) -> DprPredictor:
    """The predictor of a checkpoint.

    Raises
    ------
    InputError   the file is no checkpoint of this network
    """
    path = Path(file).expanduser()
    changed = path.stat().st_mtime_ns if path.exists() else 0
    return DprPredictor(*_load(str(path), str(device), changed, support_threshold))


@functools.lru_cache(maxsize=2)
def _load(path: str, device: str, _changed: int, support_threshold: float):
    checkpoint = read_checkpoint(path, "dpr")
    return FusedDPR(checkpoint.build().to(device)), support_threshold, checkpoint.scores.get("peak_over_mean")
