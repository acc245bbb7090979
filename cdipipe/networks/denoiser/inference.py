"""The denoiser at work: its checkpoint, and pictures of any size."""

from __future__ import annotations

import functools
from pathlib import Path

import torch
from torch import Tensor

from cdipipe.networks.checkpoint import read_checkpoint
from cdipipe.networks.denoiser import NETWORK
from cdipipe.networks.denoiser.model import Denoiser
from cdipipe.networks.layers.mirror import pad_mirrored


def load_denoiser(file: str | Path | None = None, device: str | torch.device = "cpu") -> Denoiser:
    """A trained denoiser, in evaluation mode; not to be moved, as others use it, too.

    Parameters
    ----------
    file : checkpoint that ``cdipipe train denoiser`` wrote; None: the one that comes with the package
    device : where it is to compute

    Raises
    ------
    InputError   the file is no checkpoint of a denoiser
    """
    path = NETWORK.weights if file is None else Path(file).expanduser()
    return _load(path, path.stat().st_mtime_ns if path.exists() else 0, torch.device(device))


@functools.lru_cache(maxsize=4)
def _load(path: Path, _changed: int, device: torch.device) -> Denoiser:
    return read_checkpoint(path, "denoiser").build().requires_grad_(False).to(device)


def denoise(network: Denoiser, image: Tensor, sigma: float, ensemble: bool = True) -> Tensor:
    """An image (H, W) of any size without most of its noise; the mean over the eight turns with ``ensemble``."""
    height, width = image.shape
    pad = (-height % 4 + 8, -width % 4 + 8)
    padded = pad_mirrored(image, 8, pad)
    level = torch.full((1, 1, 1, 1), sigma, dtype=torch.float32, device=image.device)
    total = torch.zeros_like(padded)
    turns = [(quarter, flip) for quarter in range(4) for flip in (False, True)] if ensemble else [(0, False)]
    with torch.no_grad():
        for quarter, flip in turns:
            turned = torch.rot90(padded, quarter)
            turned = turned.flip(0) if flip else turned
            clean = network(turned[None, None].contiguous(), level)[0, 0]
            total += torch.rot90(clean.flip(0) if flip else clean, -quarter)
    return (total / len(turns))[8 : 8 + height, 8 : 8 + width]
