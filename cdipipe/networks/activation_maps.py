"""What each convolution of a trained network makes of a pattern, for figures."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from cdipipe.errors import InputError
from cdipipe.measurement import Measurement
from cdipipe.networks.checkpoint import Checkpoint
from cdipipe.networks.resampling import plan_resampling

CONVOLUTIONS = (nn.Conv2d, nn.Conv3d)
OVERSAMPLING = 1.5
"""To which larger patterns are resampled."""


@torch.inference_mode()
def activations(checkpoint: Checkpoint, measurement: Measurement, index: int = 0) -> list[tuple[str, np.ndarray]]:
    """(name, (C, *grid) float32 after its ReLU) of each convolution with a window, in the order of the computation.

    Parameters
    ----------
    index : which pattern of a stack

    Raises
    ------
    InputError   the pattern is smaller than the network's, or has another number of dimensions
    """
    if checkpoint.network.apply is None:
        raise InputError(f"activation maps: {checkpoint.network.name} takes no patterns")
    module, found = checkpoint.build(), []
    counts, seen = _fit(measurement.pattern(index), checkpoint, any(map(_is_solid, module.modules())))
    hooks = [
        layer.register_forward_hook(lambda _, __, out, name=name: found.append((name, torch.relu(out[0]).numpy())))
        for name, layer in module.named_modules()
        if isinstance(layer, CONVOLUTIONS) and max(layer.kernel_size) > 1 and layer.groups == 1
    ]
    checkpoint.network.apply(module, checkpoint.settings.network, counts, seen)
    for hook in hooks:
        hook.remove()
    return found


def _is_solid(layer: nn.Module) -> bool:
    return isinstance(layer, nn.Conv3d)


def _fit(pattern: Measurement, checkpoint: Checkpoint, solid: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """(1, *grid) counts and mask on the network's grid; larger patterns are resampled as for a prediction."""
    size, name = checkpoint.settings.network.size, checkpoint.network.name
    counts, seen = pattern.intensity, pattern.measured
    if counts.ndim != 2 + solid:
        raise InputError(f"activation maps: {name} takes patterns of {2 + solid} dimensions; got {counts.ndim}")
    if any(length != size for length in counts.shape):
        counts = plan_resampling(counts, seen, size, OVERSAMPLING, name).shrink(counts * seen)
        seen = np.ones(counts.shape, bool)
    return tuple(torch.from_numpy(np.ascontiguousarray(array))[None] for array in (counts, seen))
