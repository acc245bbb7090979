"""The module of 3D-CDI-NN: one encoder, and a decoder each for the phase and for the shape of a crystal."""

from __future__ import annotations

import math

import torch
from torch import nn

from cdipipe.networks.layers.conv3d import Conv3d


def convolution(inputs: int, outputs: int, dropout: float) -> list[nn.Module]:
    return [Conv3d(inputs, outputs, 3, padding=1), nn.ReLU(), nn.Dropout(dropout)]


def encoder(widths: tuple[int, ...], dropout: float) -> nn.Sequential:
    """Dropout on the input, then two convolutions and a halving per level."""
    layers, channels = [nn.Dropout(dropout)], 1
    for width in widths:
        layers += [*convolution(channels, width, dropout), *convolution(width, width, dropout), nn.MaxPool3d(2)]
        channels = width
    return nn.Sequential(*layers)


class Rectified(nn.Module):
    """ReLU; in training with a small slope below zero.

    Most voxels are empty, so the mean absolute error first pulls the output down everywhere, and a ReLU that is below
    zero everywhere has no gradient to come back.
    """

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return nn.functional.leaky_relu(values, 0.05) if self.training else nn.functional.relu(values)


def decoder(widths: tuple[int, ...], dropout: float) -> nn.Sequential:
    """Two convolutions and a doubling per level, widest first; a last convolution to one channel."""
    layers, channels = [], widths[-1]
    for width in reversed(widths):
        layers += [*convolution(channels, width, dropout), *convolution(width, width, dropout)]
        layers.append(nn.Upsample(scale_factor=2))
        channels = width
    last = Conv3d(channels, 1, 3, padding=1)
    nn.init.zeros_(last.bias)
    return nn.Sequential(*layers, last, Rectified())


def decode(layers: nn.Sequential, features: torch.Tensor, start: float, scale: float = 1.0) -> torch.Tensor:
    """ReLU(start + scale * last convolution), which is in single precision also where the other layers are not.

    Phases of strained crystals differ from 1/2 by less than the spacing of 16-bit numbers there, 0.004 of a turn.
    """
    hidden = layers[:-2](features)
    with torch.autocast(hidden.device.type, enabled=False):
        return layers[-1](start + scale * layers[-2](hidden.float()))


class EncoderTwoDecoders(nn.Module):
    """Outputs are (phase / 2 pi + 1/2, shape), in the order of the public code."""

    def __init__(self, widths: tuple[int, ...], dropout: float, phase_scale: float = 1.0):
        super().__init__()
        self.phase_scale = phase_scale
        self.encoder = encoder(widths, dropout)
        self.phase = decoder(widths, dropout)
        self.shape = decoder(widths, dropout)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """(B, 1, D, H, W) modulus over its maximum to (B, 2, D, H, W)."""
        features = self.encoder(inputs)
        phase = decode(self.phase, features, start=0.5, scale=self.phase_scale)
        return torch.cat([phase, decode(self.shape, features, start=0.1)], 1)

    @staticmethod
    def to_objects(outputs: torch.Tensor) -> torch.Tensor:
        """(B, D, H, W) complex64: shape * exp(2 pi i (p - 1/2))."""
        phase, shape = outputs.float().unbind(1)
        return torch.polar(shape, 2 * math.pi * (phase - 0.5))


def scale_inputs(modulus: torch.Tensor, gain: float) -> torch.Tensor:
    """(B, D, H, W) modulus on any scale to the network's input (B, 1, D, H, W), largest value ``gain``."""
    return (modulus * (gain / modulus.amax((-3, -2, -1), keepdim=True).clamp(min=1e-12)))[:, None]
