"""The modules of CDI NN: from the modulus of a 32 x 32 pattern to an object, by convolutions alone.

The paper has two networks of one structure, one for the shape and one for the phase; our own variant has one network
with the real and the imaginary part as its outputs, half the work, and no need to fix the global phase. On request a
second, smaller network corrects that object where it disagrees with the measured pattern.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from cdipipe.optics import fourier

SHAPE_CUT = 0.1
"""The paper's threshold on the predicted shape: below it there is no object."""


def convolution(inputs: int, outputs: int, batch_norm: bool) -> list[nn.Module]:
    norm = [nn.BatchNorm2d(outputs)] if batch_norm else []
    return [nn.Conv2d(inputs, outputs, 3, padding=1), *norm, nn.ReLU()]


def encoder_decoder(inputs: int, outputs: int, widths: tuple[int, ...], batch_norm: bool) -> nn.Sequential:
    """Two convolutions per level and a halving, down and up again; the last convolution is linear."""
    layers, channels = [], inputs
    for width in widths:
        layers += [*convolution(channels, width, batch_norm), *convolution(width, width, batch_norm), nn.MaxPool2d(2)]
        channels = width
    for width in reversed(widths):
        layers += [*convolution(channels, width, batch_norm), *convolution(width, width, batch_norm)]
        layers.append(nn.Upsample(scale_factor=2))
        channels = width
    return nn.Sequential(*layers, nn.Conv2d(channels, outputs, 3, padding=1))


def fold_norms(layers: nn.Sequential) -> nn.Sequential:
    """The same function with each batch norm folded into the convolution before it; for evaluation only."""
    folded = []
    for layer in layers:
        if isinstance(layer, nn.BatchNorm2d):
            folded[-1] = nn.utils.fusion.fuse_conv_bn_eval(folded[-1], layer)
        else:
            folded.append(layer)
    return nn.Sequential(*folded)


class RealImaginary(nn.Module):
    """One network; its two outputs are the real and the imaginary part.

    Parameters
    ----------
    data_share : share of the object's Fourier projection, which has its phases and the measured modulus, in the result
    """

    def __init__(self, widths: tuple[int, ...], batch_norm: bool, data_share: float = 0.0):
        super().__init__()
        self.layers, self.data_share = encoder_decoder(1, 2, widths, batch_norm), data_share

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """(B, 1, H, W) scaled modulus to (B, 2, H, W)."""
        outputs = self.layers(inputs)
        return self._mix(outputs.float(), inputs)[0] if self.data_share else outputs

    def _mix(self, outputs: torch.Tensor, inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The result, and the Fourier projection that it holds a share of."""
        projected = project_outputs(outputs, inputs[:, 0].float())
        return torch.lerp(outputs, projected, self.data_share), projected

    def fold(self) -> None:
        """Make it faster, for evaluation only."""
        self.layers = fold_norms(self.layers)

    @staticmethod
    def to_objects(outputs: torch.Tensor) -> torch.Tensor:
        """(B, H, W) complex64."""
        outputs = outputs.float()
        return torch.complex(outputs[:, 0], outputs[:, 1])


class Corrector(nn.Module):
    """Encoder and decoder with skip connections from (B, 4, H, W) to a correction (B, 2, H, W), at first zero.

    Skips help here, unlike in the network before: what comes in is already an object.
    """

    def __init__(self, widths: tuple[int, ...]):
        super().__init__()
        self.down, self.up, channels = nn.ModuleList(), nn.ModuleList(), 4
        for width in widths:
            self.down.append(nn.Sequential(*convolution(channels, width, True), *convolution(width, width, True)))
            channels = width
        for width in reversed(widths[:-1]):
            self.up.append(nn.Sequential(*convolution(channels + width, width, True)))
            channels = width
        self.last = nn.Conv2d(channels, 2, 3, padding=1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        finer = []
        for index, level in enumerate(self.down):
            x = level(nn.functional.max_pool2d(x, 2) if index else x)
            finer.append(x)
        finer.pop()
        for level in self.up:
            x = level(torch.cat([nn.functional.interpolate(x, scale_factor=2), finer.pop()], 1))
        return self.last(x)

    def fold(self) -> None:
        for levels in (self.down, self.up):
            for index, level in enumerate(levels):
                levels[index] = fold_norms(level)


class Corrected(RealImaginary):
    """One network, and a second one that sees its object and the Fourier projection and corrects their mixture."""

    def __init__(self, widths: tuple[int, ...], batch_norm: bool, data_share: float, corrector_widths: tuple[int, ...]):
        super().__init__(widths, batch_norm, data_share)
        self.corrector = Corrector(corrector_widths)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        outputs = self.layers(inputs).float()
        mixed, projected = self._mix(outputs, inputs)
        return mixed + self.corrector(torch.cat([outputs, projected], 1))

    def train(self, mode: bool = True):
        """Where only the corrector learns, the first network's batch norms keep their statistics."""
        super().train(mode)
        if not any(parameter.requires_grad for parameter in self.layers.parameters()):
            self.layers.eval()
        return self

    def fold(self) -> None:
        super().fold()
        self.corrector.fold()


def project_outputs(outputs: torch.Tensor, modulus: torch.Tensor) -> torch.Tensor:
    """(B, 2, H, W) real and imaginary part with the modulus (B, H, W) in Fourier space, scaled to fit theirs best."""
    wavefronts = fourier.forward(torch.complex(outputs[:, 0], outputs[:, 1]))
    lengths = wavefronts.abs().clamp(min=1e-12)
    power = modulus.square().sum((1, 2), keepdim=True).clamp(min=1e-12)
    scale = (lengths * modulus).sum((1, 2), keepdim=True) / power
    projected = fourier.inverse(wavefronts * (modulus * scale / lengths))
    return torch.stack([projected.real, projected.imag], 1)


class ShapePhase(nn.Module):
    """The paper's two networks; outputs are the logits of the shape and of (phase + pi) / 2 pi."""

    def __init__(self, widths: tuple[int, ...], batch_norm: bool):
        super().__init__()
        self.shape = encoder_decoder(1, 1, widths, batch_norm)
        self.phase = encoder_decoder(1, 1, widths, batch_norm)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return torch.cat([self.shape(inputs), self.phase(inputs)], 1)

    def fold(self) -> None:
        self.shape, self.phase = fold_norms(self.shape), fold_norms(self.phase)

    @staticmethod
    def to_objects(outputs: torch.Tensor) -> torch.Tensor:
        """(B, H, W) complex64; zero where the shape is not above ``SHAPE_CUT``."""
        shape, phase = torch.sigmoid(outputs.float()).unbind(1)
        shape = torch.where(shape > SHAPE_CUT, shape, torch.zeros_like(shape))
        return torch.polar(shape, 2 * math.pi * (phase - 0.5))


def scale_inputs(modulus: torch.Tensor, gain: float) -> torch.Tensor:
    """(B, H, W) modulus on any scale to the network's input (B, 1, H, W), largest value ``gain``."""
    return (modulus * (gain / modulus.amax((-2, -1), keepdim=True).clamp(min=1e-12)))[:, None]
