"""What each convolution of a trained network makes of a pattern, for figures."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from cdipipe.errors import InputError
from cdipipe.measurement import Measurement
from cdipipe.networks.checkpoint import Checkpoint

CONVOLUTIONS = (nn.Conv2d, nn.Conv3d)


@torch.inference_mode()
def activations(checkpoint: Checkpoint, measurement: Measurement, index: int = 0) -> list[tuple[str, np.ndarray]]:
    """(name, (C, *grid) float32 after its ReLU) of each convolution with a window, in the order of the computation.

    Parameters
    ----------
    index : which pattern of a stack

    Raises
    ------
    InputError   the pattern is not of the network's size
    """
    pattern, size = measurement.pattern(index), checkpoint.settings.network.size
    if any(length != size for length in pattern.intensity.shape):
        shape = " x ".join(map(str, pattern.intensity.shape))
        raise InputError(f"activation maps: the pattern has {shape} pixels; the network takes {size} per axis")
    module, found = checkpoint.build(), []
    hooks = [
        layer.register_forward_hook(lambda _, __, out, name=name: found.append((name, torch.relu(out[0]).numpy())))
        for name, layer in module.named_modules()
        if isinstance(layer, CONVOLUTIONS) and max(layer.kernel_size) > 1 and layer.groups == 1
    ]
    counts, seen = (torch.from_numpy(np.ascontiguousarray(a))[None] for a in (pattern.intensity, pattern.measured))
    checkpoint.network.apply(module, checkpoint.settings.network, counts, seen)
    for hook in hooks:
        hook.remove()
    return found
