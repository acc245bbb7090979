"""Networks whose outputs are the real and the imaginary part of an object, for planes and for volumes.

No global phase has to be fixed, and the loss may leave the twin open, see ``losses.distances.object_distance``. On
request the result holds a share of the Fourier projection on the measured modulus, and a second, smaller network
corrects it where it disagrees with the pattern.
"""

from __future__ import annotations

import torch
from torch import nn

from cdipipe.networks.layers.conv3d import Conv3d
from cdipipe.optics import fourier
from cdipipe.optics.grid import central_slices

CONVOLUTIONS = {2: nn.Conv2d, 3: Conv3d}
NORMS = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
POOLS = {2: nn.MaxPool2d, 3: nn.MaxPool3d}
MAX_POOL = {2: nn.functional.max_pool2d, 3: nn.functional.max_pool3d}


def convolution(inputs: int, outputs: int, batch_norm: bool, ndim: int = 2) -> list[nn.Module]:
    norm = [NORMS[ndim](outputs)] if batch_norm else []
    return [CONVOLUTIONS[ndim](inputs, outputs, 3, padding=1), *norm, nn.ReLU()]


def encoder_decoder(
    inputs: int, outputs: int, widths: tuple[int, ...], batch_norm: bool, ndim: int = 2
) -> nn.Sequential:
    """Two convolutions per level and a halving, down and up again; the last convolution is linear."""
    layers, channels = [], inputs
    for width in widths:
        layers += [*convolution(channels, width, batch_norm, ndim), *convolution(width, width, batch_norm, ndim)]
        layers.append(POOLS[ndim](2))
        channels = width
    for width in reversed(widths):
        layers += [*convolution(channels, width, batch_norm, ndim), *convolution(width, width, batch_norm, ndim)]
        layers.append(nn.Upsample(scale_factor=2))
        channels = width
    return nn.Sequential(*layers, CONVOLUTIONS[ndim](channels, outputs, 3, padding=1))


def fold_norms(layers: nn.Sequential) -> nn.Sequential:
    """The same function with each batch norm folded into the convolution before it; for evaluation only."""
    folded = []
    for layer in layers:
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            folded[-1] = nn.utils.fusion.fuse_conv_bn_eval(folded[-1], layer)
        else:
            folded.append(layer)
    return nn.Sequential(*folded)


class RealImaginary(nn.Module):
    """One network; its two outputs are the real and the imaginary part.

    Parameters
    ----------
    data_share : share of the object's Fourier projection, which has its phases and the measured modulus, in the result
    ndim : of the patterns
    log_input : the network sees log(1 + input); the projection takes the input itself
    finer : times the patterns are sampled finer than objects that fill their grid would need; the objects are in a box
        of 1 / finer of each axis, and the network sees finer^ndim patterns of that size
    """

    def __init__(
        self,
        widths: tuple[int, ...],
        batch_norm: bool,
        data_share: float = 0.0,
        ndim: int = 2,
        log_input: bool = False,
        finer: int = 1,
    ):
        super().__init__()
        self.layers, self.data_share = encoder_decoder(finer**ndim, 2, widths, batch_norm, ndim), data_share
        self.log_input, self.finer = log_input, finer

    def forward(self, inputs: torch.Tensor, ramp: torch.Tensor | None = None) -> torch.Tensor:
        """(B, 1, *grid) scaled modulus to (B, 2, *box).

        Parameters
        ----------
        ramp : (B, *grid) complex, what the objects have to be multiplied with to have these patterns; None: one
        """
        outputs = self._look(inputs)
        return self._mix(outputs.float(), inputs, ramp)[0] if self.data_share else outputs

    def _look(self, inputs: torch.Tensor) -> torch.Tensor:
        inputs = interleaved(inputs, self.finer)
        return self.layers(torch.log1p(inputs) if self.log_input else inputs)

    def _mix(self, outputs: torch.Tensor, inputs: torch.Tensor, ramp) -> tuple[torch.Tensor, torch.Tensor]:
        """The result, and the Fourier projection that it holds a share of."""
        projected = project_outputs(outputs, inputs[:, 0].float(), ramp)
        return torch.lerp(outputs, projected, self.data_share), projected

    def fold(self) -> None:
        """Make it faster, for evaluation only."""
        self.layers = fold_norms(self.layers)

    @staticmethod
    def to_objects(outputs: torch.Tensor) -> torch.Tensor:
        """(B, *grid) complex64."""
        outputs = outputs.float()
        return torch.complex(outputs[:, 0], outputs[:, 1])


class Corrector(nn.Module):
    """Encoder and decoder with skip connections from (B, 4 + memory, *grid) to (B, 2 + memory, *grid), at first zero.

    Skips help here, unlike in the network before: what comes in is already an object. The first two channels that come
    out correct it; the others are what the next pass is told.
    """

    def __init__(self, widths: tuple[int, ...], ndim: int = 2, memory: int = 0):
        super().__init__()
        self.ndim, self.memory = ndim, memory
        self.down, self.up, channels = nn.ModuleList(), nn.ModuleList(), 4 + memory
        for width in widths:
            two = convolution(channels, width, True, ndim), convolution(width, width, True, ndim)
            self.down.append(nn.Sequential(*two[0], *two[1]))
            channels = width
        for width in reversed(widths[:-1]):
            self.up.append(nn.Sequential(*convolution(channels + width, width, True, ndim)))
            channels = width
        self.last = CONVOLUTIONS[ndim](channels, 2 + memory, 3, padding=1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        finer = []
        for index, level in enumerate(self.down):
            x = level(MAX_POOL[self.ndim](x, 2) if index else x)
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
    """One network, and a second one that sees its object and the Fourier projection and corrects their mixture.

    Parameters
    ----------
    passes : how often it does so, with the same weights
    memory : channels that a pass hands to the next one
    """

    def __init__(
        self,
        widths: tuple[int, ...],
        batch_norm: bool,
        data_share: float,
        corrector_widths: tuple[int, ...],
        ndim: int = 2,
        log_input: bool = False,
        passes: int = 1,
        memory: int = 0,
        finer: int = 1,
    ):
        super().__init__(widths, batch_norm, data_share, ndim, log_input, finer)
        self.corrector, self.passes = Corrector(corrector_widths, ndim, memory), passes

    def forward(self, inputs: torch.Tensor, ramp: torch.Tensor | None = None) -> torch.Tensor:
        outputs = self._look(inputs).float()
        told = outputs.new_zeros(len(outputs), self.corrector.memory, *outputs.shape[2:])
        for _ in range(self.passes):
            mixed, projected = self._mix(outputs, inputs, ramp)
            correction = self.corrector(torch.cat([outputs, projected, told], 1))
            outputs, told = mixed + correction[:, :2], correction[:, 2:]
        return outputs

    def train(self, mode: bool = True):
        """Where only the corrector learns, the first network's batch norms keep their statistics."""
        super().train(mode)
        if not any(parameter.requires_grad for parameter in self.layers.parameters()):
            self.layers.eval()
        return self

    def fold(self) -> None:
        super().fold()
        self.corrector.fold()


def interleaved(inputs: torch.Tensor, finer: int) -> torch.Tensor:
    """(B, 1, *grid) as the finer^ndim patterns of every finer-th pixel, (B, finer^ndim, *box)."""
    if finer == 1:
        return inputs
    ndim = inputs.ndim - 2
    split = inputs[:, 0].reshape(len(inputs), *(n for side in inputs.shape[2:] for n in (side // finer, finer)))
    return split.permute(0, *range(2, 2 * ndim + 1, 2), *range(1, 2 * ndim, 2)).flatten(1, ndim)


def project_outputs(outputs: torch.Tensor, modulus: torch.Tensor, ramp: torch.Tensor | None = None) -> torch.Tensor:
    """(B, 2, *box) real and imaginary part with the modulus (B, *grid) in Fourier space, scaled to fit theirs best.

    What lies outside the box in the middle of the grid is cut off.

    Parameters
    ----------
    ramp : (B, *grid) complex of modulus 1, what the objects are multiplied with to have these patterns; None: one
    """
    ndim = modulus.ndim - 1
    axes, objects = tuple(range(1, 1 + ndim)), torch.complex(outputs[:, 0], outputs[:, 1])
    box = (slice(None), *central_slices(tuple(modulus.shape[1:]), tuple(objects.shape[1:])))
    objects, ramp = in_grid(objects, modulus.shape[1:]), torch.ones_like(modulus) if ramp is None else ramp
    wavefronts = fourier.forward(objects * ramp, ndim)
    lengths = wavefronts.abs().clamp(min=1e-12)
    power = modulus.square().sum(axes, keepdim=True).clamp(min=1e-12)
    scale = (lengths * modulus).sum(axes, keepdim=True) / power
    projected = (fourier.inverse(wavefronts * (modulus * scale / lengths), ndim) * ramp.conj())[box]
    return torch.stack([projected.real, projected.imag], 1)


def in_grid(objects: torch.Tensor, grid) -> torch.Tensor:
    """(B, *box) in the middle of zeros, (B, *grid)."""
    if tuple(objects.shape[1:]) == tuple(grid):
        return objects
    margins = []
    for whole, side in zip(reversed(grid), reversed(objects.shape[1:]), strict=True):
        before = whole // 2 - side // 2
        margins += [before, whole - side - before]
    return nn.functional.pad(objects, margins)
