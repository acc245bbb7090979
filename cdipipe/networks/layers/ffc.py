"""Fast Fourier convolution: half of the channels look at their neighbours, half at the whole picture.

    local'  = C_ll local + C_gl global
    global' = C_lg local + ST global          followed by batch normalisation and ReLU each

C are 3 x 3 convolutions with reflected borders. The spectral transform ST mixes channels at each spatial frequency:
one Fourier unit over the whole picture, another over its four quarters.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from cdipipe.networks.layers.ordered import ReflectedConv2d
from cdipipe.optics import fourier


class FourierUnit(nn.Module):
    """1 x 1 convolution, batch normalisation and ReLU on the real and imaginary parts of a picture's spectrum."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(2 * channels, 2 * channels, 1, bias=False)
        self.norm = nn.BatchNorm2d(2 * channels)

    def forward(self, x: Tensor) -> Tensor:
        spectrum = torch.view_as_real(fourier.forward_real_corner(x))
        parts = spectrum.permute(0, 1, 4, 2, 3).flatten(1, 2)  # channels: re, im, re, im, ...
        parts = torch.relu(self.norm(self.conv(parts)))
        spectrum = torch.view_as_complex(parts.unflatten(1, (-1, 2)).permute(0, 1, 3, 4, 2).contiguous())
        return fourier.inverse_real_corner(spectrum, x.shape[-2:])


class SpectralTransform(nn.Module):
    """Global branch: squeeze to half the channels, add what the Fourier units make of them, expand.

    The local unit takes a quarter of the channels, lays the four quarters of each picture on top of each other as
    channels, and its answer is repeated in all four. ``stride`` 2 halves the picture first, by averaging.
    """

    def __init__(self, channels_in: int, channels_out: int, stride: int = 1):
        super().__init__()
        self.stride, half = stride, channels_out // 2
        self.squeeze = nn.Conv2d(channels_in, half, 1, bias=False)
        self.norm = nn.BatchNorm2d(half)
        self.whole = FourierUnit(half)
        self.quarters = FourierUnit(half)
        self.expand = nn.Conv2d(half, channels_out, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        if self.stride == 2:
            x = functional.avg_pool2d(x, 2)
        x = torch.relu(self.norm(self.squeeze(x)))
        local = self.quarters(stack_quarters(x[:, : x.shape[1] // 4])).repeat(1, 1, 2, 2)
        return self.expand(x + self.whole(x) + local)


def stack_quarters(x: Tensor) -> Tensor:
    """(B, C, H, W) to (B, 4 C, H/2, W/2): top left, bottom left, top right, bottom right."""
    height, width = (size // 2 for size in x.shape[-2:])
    rows = (slice(0, height), slice(height, 2 * height))
    columns = (slice(0, width), slice(width, 2 * width))
    return torch.cat([x[:, :, row, column] for column in columns for row in rows], dim=1)


class FastFourierConv(nn.Module):
    """One layer on a pair (local, global) of feature maps, half of the output channels each; ``x_global`` may be None.

    References
    ----------
    Chi, Jiang & Mu, NeurIPS 33 (2020), "Fast Fourier convolution"; Suvorov et al., WACV 2022,
    doi:10.1109/WACV51458.2022.00323
    """

    def __init__(self, channels_in: int, channels_out: int, kernel: int = 3, stride: int = 1, first: bool = False):
        super().__init__()
        half_out = channels_out // 2
        local_in = channels_in if first else channels_in // 2
        self.local_to_local = ReflectedConv2d(local_in, half_out, kernel, stride)
        self.local_to_global = ReflectedConv2d(local_in, half_out, kernel, stride)
        if not first:
            self.global_to_local = ReflectedConv2d(channels_in // 2, half_out, kernel, stride)
            self.global_to_global = SpectralTransform(channels_in // 2, half_out, stride)
        self.norm_local = nn.BatchNorm2d(half_out)
        self.norm_global = nn.BatchNorm2d(half_out)

    def forward(self, x_local: Tensor, x_global: Tensor | None = None) -> tuple[Tensor, Tensor]:
        y_local, y_global = self.local_to_local(x_local), self.local_to_global(x_local)
        if x_global is not None:
            y_local = y_local + self.global_to_local(x_global)
            y_global = y_global + self.global_to_global(x_global)
        return torch.relu(self.norm_local(y_local)), torch.relu(self.norm_global(y_global))


class ResidualBlock(nn.Module):
    """Two layers whose result is added to their input, after the last ReLU."""

    def __init__(self, channels: int):
        super().__init__()
        self.first, self.second = FastFourierConv(channels, channels), FastFourierConv(channels, channels)

    def forward(self, x_local: Tensor, x_global: Tensor) -> tuple[Tensor, Tensor]:
        y_local, y_global = self.second(*self.first(x_local, x_global))
        return x_local + y_local, x_global + y_global
