"""The network of PID3Net: an encoder of a few frames of a movie, and one decoder each for amplitude and phase.

    sqrt I --[encoder: temporal blocks, each followed by max-pooling in space]--> latent --+--> decoder --> amplitude
                                                                                           +--> decoder --> phase

A temporal block looks at one frame, at three and at five in parallel::

    1x1x1 --+-- (1,3,3) --+
            +-- (3,3,3) --+-- side by side -- 1x1x1 -- batch normalisation -- swish
            +-- (5,3,3) --+

Nothing is trained beforehand: the weights are fitted to the movie that is being reconstructed.

References
----------
Vu et al., npj Comput. Mater. 11, 66 (2025), doi:10.1038/s41524-025-01549-y
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from cdipipe.networks.layers.conv3d import Conv3d

CLEAR = 3.0
"""Bias of the amplitude's head: the network begins with sigmoid(3) = 0.95, an object that hardly absorbs."""
FIRST_CONTRAST = 0.1
"""The heads' weights begin this much smaller than the others, so that the first object is nearly flat."""


class TemporalBlock(nn.Sequential):
    """(B, inputs, T, H, W) -> (B, width, T, H, W), float32; any number of frames T."""

    def __init__(self, inputs: int, width: int, activation: nn.Module | None = None):
        half = max(width // 2, 1)
        super().__init__(
            Conv3d(inputs, width, 1),
            _Parallel(_convolution(width, width, 1), _convolution(width, half, 3), _convolution(width, half, 5)),
            Conv3d(width + 2 * half, width, 1),
            nn.BatchNorm3d(width),
            nn.SiLU() if activation is None else activation,
        )


class _Parallel(nn.ModuleList):
    def __init__(self, *branches: nn.Module):
        super().__init__(branches)

    def forward(self, frames: Tensor) -> Tensor:
        return torch.cat([branch(frames) for branch in self], 1)


def _convolution(inputs: int, outputs: int, frames: int) -> Conv3d:
    return Conv3d(inputs, outputs, (frames, 3, 3), padding=(frames // 2, 1, 1))


class Decoder(nn.Sequential):
    """(B, latent, T, h, w) -> (B, 1, T, H, W): transposed convolutions in space, temporal blocks, a linear head."""

    def __init__(self, latent: int, widths: list[int]):
        layers, inputs = [], latent
        for width in widths:
            layers += [nn.ConvTranspose3d(inputs, width, (1, 2, 2), (1, 2, 2)), TemporalBlock(width, width)]
            inputs = width
        super().__init__(*layers, _convolution(inputs, inputs, 1), nn.SiLU(), Conv3d(inputs, 1, 1))


class FrameNetwork(nn.Module):
    """Amplitude and phase of the frames of a window, from the moduli of their patterns.

    Parameters
    ----------
    width : features of the finest level; each level below has twice as many, the latent those of the last level
    levels : times that the array is halved
    """

    def __init__(self, width: int = 8, levels: int = 4):
        super().__init__()
        widths = [width * 2**level for level in range(levels)]
        self.levels = levels
        encoder, inputs = [], 1
        for features in widths:
            encoder += [TemporalBlock(inputs, features), nn.MaxPool3d((1, 2, 2))]
            inputs = features
        self.encoder = nn.Sequential(*encoder, TemporalBlock(inputs, inputs))
        self.amplitude, self.phase = (Decoder(inputs, widths[::-1]) for _ in range(2))

    def forward(self, moduli: Tensor) -> Tensor:
        """Transmissions (B, T, H, W) complex64, centred, from moduli (B, T, H, W) on any scale; sides of any size."""
        height, width = moduli.shape[-2:]
        padded = nn.functional.pad(moduli, _padding(height, width, 2**self.levels)).unsqueeze(1)
        latent = self.encoder(padded)
        top, left = ((size - side) // 2 for size, side in zip(padded.shape[-2:], (height, width), strict=True))
        window = (slice(None), 0, slice(None), slice(top, top + height), slice(left, left + width))
        return torch.polar(self.amplitude(latent)[window].sigmoid(), math.pi * self.phase(latent)[window].tanh())


def _padding(height: int, width: int, multiple: int) -> tuple[int, int, int, int]:
    """Zeros around, for both sides to be multiples: as ``pad`` wants them."""
    total = [-size % multiple for size in (width, height)]
    return total[0] // 2, total[0] - total[0] // 2, total[1] // 2, total[1] - total[1] // 2


@torch.no_grad()
def draw_weights(network: nn.Module, generator: torch.Generator) -> None:
    """Draw all weights from a generator: uniform with variance 1 / inputs of a unit; biases 0, normalisations 1."""
    for module in network.modules():
        if isinstance(module, (nn.Conv3d, nn.ConvTranspose3d)):
            transposed = isinstance(module, nn.ConvTranspose3d)  # its kernel does not overlap: each pixel sees one
            inputs = module.in_channels if transposed else module.weight[0].numel()
            bound = math.sqrt(3 / inputs)
            module.weight.copy_(torch.empty(module.weight.shape).uniform_(-bound, bound, generator=generator))
            module.bias.zero_()
        elif isinstance(module, nn.BatchNorm3d):
            module.reset_parameters()
            module.reset_running_stats()
    for part in network.modules():
        if isinstance(part, FrameNetwork):
            part.amplitude[-1].bias.fill_(CLEAR)
            for decoder in (part.amplitude, part.phase):
                decoder[-1].weight.mul_(FIRST_CONTRAST)
