"""The unrolled network at work: its checkpoint, several random starts, of their objects the one that fits best."""

from __future__ import annotations

import functools
from pathlib import Path

import torch
from torch import Tensor

from cdipipe.networks.checkpoint import Checkpoint, read_checkpoint
from cdipipe.networks.predictor import best_layout
from cdipipe.networks.unrolled.loss import draw_start
from cdipipe.networks.unrolled.model import Unrolled, inside_of
from cdipipe.networks.unrolled.physics import Modulus, hio_step
from cdipipe.networks.unrolled.settings import UnrolledNetwork, UnrolledParameters
from cdipipe.optics.grid import central_slices

ER_SHARE = 6
"""One iteration of ER follows on so many of HIO."""
TOGETHER_PIXELS = 2**18
"""Pixels of the patterns that go through the network together on a CPU: what its caches hold."""


class UnrolledPredictor:
    """Batches of patterns to objects and supports, see ``Method.predict``.

    Parameters
    ----------
    checkpoint : Checkpoint
    parameters : UnrolledParameters
    device : torch device
    """

    def __init__(self, checkpoint: Checkpoint, parameters: UnrolledParameters, device):
        self.settings, self.parameters = checkpoint.settings.network, parameters
        self.module = checkpoint.build().to(device)
        self.module.to(memory_format=best_layout(self.module))
        self.pattern_shape = (self.settings.size,) * self.settings.dimensions

    def __call__(self, intensity: Tensor, measured: Tensor) -> tuple[Tensor, Tensor]:
        """(B, *grid) photons and bool to complex64 objects and bool supports, all centred."""
        together = len(intensity) if intensity.is_cuda else max(1, TOGETHER_PIXELS // intensity[0].numel())
        pairs = zip(intensity.split(together), measured.split(together), strict=True)
        given = self.parameters
        options = {"starts": given.starts, "seed": given.start_seed, "steps": given.step_count, "finish": given.finish}
        found = [from_starts(self.module, *pair, **options) for pair in pairs]
        boxes, supports = (torch.cat(parts) for parts in zip(*found, strict=True))
        return in_whole_grid(boxes, self.settings), in_whole_grid(supports, self.settings).real > 0


@torch.no_grad()
def from_starts(
    module: Unrolled,
    intensity: Tensor,
    measured: Tensor,
    starts: int,
    seed: int = 0,
    steps: int | None = None,
    finish: int = 0,
) -> tuple[Tensor, Tensor]:
    """Of several random starts the object of least R-factor of each pattern, (B, *box), and its support, bool.

    Parameters
    ----------
    finish : iterations of HIO, and a sixth of ER, inside the support that was found; 0: the network's own object
    """
    generator = torch.Generator(intensity.device).manual_seed(seed)
    modulus = Modulus(intensity, measured, (module.box_px,) * module.dimensions, module.real)
    best: tuple[Tensor, Tensor, Tensor] | None = None
    for _ in range(starts):
        start = draw_start(module, 1, generator).expand(len(intensity), *[-1] * module.dimensions)
        estimates, logits = module(intensity, measured, start, steps)
        x, inside = estimates[-1], inside_of(logits[-1])
        for _ in range(finish):
            x = hio_step(x, modulus.project(x), inside, module.feedback)
        for _ in range(-(-finish // ER_SHARE)):
            projected = modulus.project(x)
            x = torch.where(inside, projected.relu() if module.real else projected, 0)
        found = x, inside, modulus.r_factor(x)
        if best is not None:
            better = (found[2] < best[2]).reshape(-1, *[1] * module.dimensions)
            chosen = [torch.where(better, new, old) for new, old in zip(found[:2], best[:2], strict=True)]
            found = *chosen, torch.minimum(found[2], best[2])
        best = found
    return best[:2]


def in_whole_grid(boxes: Tensor, settings: UnrolledNetwork) -> Tensor:
    """Boxes in the middle of their pattern's grid, zeros around, complex64."""
    shape = (settings.size,) * settings.dimensions
    whole = boxes.new_zeros(len(boxes), *shape, dtype=torch.complex64)
    whole[(..., *central_slices(shape, tuple(boxes.shape[1:])))] = boxes.to(torch.complex64)
    return whole


def load_unrolled(file: str, parameters: UnrolledParameters, device) -> UnrolledPredictor:
    """The predictor of a checkpoint.

    Raises
    ------
    InputError   the file is no checkpoint of this network
    """
    path = Path(file).expanduser()
    changed = path.stat().st_mtime_ns if path.exists() else 0
    return UnrolledPredictor(_read(str(path), changed), parameters, device)


@functools.lru_cache(maxsize=4)
def _read(path: str, _changed: int) -> Checkpoint:
    return read_checkpoint(path, "unrolled")
