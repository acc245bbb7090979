"""An untrained U-Net whose structure alone is the prior: it draws smooth and structured images sooner than noise.

Each level halves the grid, and a narrow skip connection carries a few channels of the finer grid to the way back up::

    x --+-- [conv /2, conv] --> next level --> upsample --+-- cat --> [conv, conv 1x1] -->
        |                                                 |
        +------------------ conv 1x1 (skip) --------------+

Batch normalisation sees the one image there is, so it normalises each channel over space.

References
----------
Ronneberger, Fischer & Brox, MICCAI 2015, doi:10.1007/978-3-319-24574-4_28;
Ulyanov, Vedaldi & Lempitsky, Int. J. Comput. Vis. 128, 1867 (2020), doi:10.1007/s11263-020-01303-4
"""

from __future__ import annotations

import math

import torch
from torch import nn

from cdipipe.networks.layers.conv3d import Conv3d
from cdipipe.networks.layers.ordered import Doubling

CONV = {2: nn.Conv2d, 3: Conv3d}
NORM = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
UPSAMPLING = {2: "bilinear", 3: "trilinear"}


class UNet(nn.Module):
    """U-Net from an input of noise (or of anything fixed) to an image.

    Parameters
    ----------
    in_channels, out_channels : int
    width : channels of every level
    levels : times that the grid is halved; every axis must be a multiple of ``2**levels``
    skip : channels of each skip connection
    ndim : 2 or 3
    """

    def __init__(self, in_channels, out_channels, width=32, levels=4, skip=4, ndim=2):
        super().__init__()
        self.stride = 2**levels
        self.level = Level(in_channels, width, levels, skip, ndim)
        self.head = CONV[ndim](width, out_channels, 1)

    def forward(self, image):
        """(B, in_channels, *grid) -> (B, out_channels, *grid), both float32."""
        return self.head(self.level(image))

    @torch.no_grad()
    def draw_weights(self, generator):
        """Draw all weights from a generator: uniform within 1 / sqrt(inputs of a unit)."""
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Conv3d)):
                bound = 1 / math.sqrt(module.weight[0].numel())
                for tensor in (module.weight, module.bias):
                    tensor.copy_(torch.empty(tensor.shape).uniform_(-bound, bound, generator=generator))
            elif isinstance(module, (nn.BatchNorm2d, nn.BatchNorm3d)):
                module.weight.fill_(1)
                module.bias.zero_()
        return self


class Level(nn.Module):
    """One level of the U-Net and, inside it, all coarser ones."""

    def __init__(self, in_channels, width, levels, skip, ndim):
        super().__init__()
        self.skip = block(in_channels, skip, 1, ndim)
        self.down = nn.Sequential(block(in_channels, width, 3, ndim, stride=2), block(width, width, 3, ndim))
        self.inner = Level(width, width, levels - 1, skip, ndim) if levels > 1 else nn.Identity()
        self.up = Doubling(UPSAMPLING[ndim])
        self.join = nn.Sequential(
            norm(width + skip, ndim), block(width + skip, width, 3, ndim), block(width, width, 1, ndim)
        )

    def forward(self, x):
        coarse = self.up(self.inner(self.down(x)))
        return self.join(torch.cat((coarse, self.skip(x)), dim=1))


def block(in_channels, out_channels, size, ndim, stride=1):
    """Convolution, normalisation, leaky ReLU."""
    convolution = CONV[ndim](in_channels, out_channels, size, stride, padding=size // 2)
    return nn.Sequential(convolution, norm(out_channels, ndim), nn.LeakyReLU(0.2, inplace=True))


def norm(channels, ndim):
    """Normalisation by the statistics of the image at hand, never by remembered ones."""
    return NORM[ndim](channels, track_running_stats=False)


def make_unet(generator, device="cpu", **sizes) -> UNet:
    """A U-Net with weights from a generator alone; nothing is drawn from the global one."""
    with torch.device("meta"):
        network = UNet(**sizes)
    return network.to_empty(device=device).draw_weights(generator)
