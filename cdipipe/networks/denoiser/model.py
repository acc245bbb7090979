"""A small blind denoiser: a residual U-Net of two levels that is told the noise level.

Without biases, and with the noise level as a further channel, it is homogeneous: f(c x, c sigma) = c f(x, sigma). So
only the ratio of contrast to noise matters and one network serves all doses.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class Residual(nn.Module):
    """x + conv(relu(conv(x)))."""

    def __init__(self, channels: int):
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.second = nn.Conv2d(channels, channels, 3, padding=1, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        return features + self.second(functional.relu(self.first(features)))


class Denoiser(nn.Module):
    """Noisy image and noise level in, image out.

    Parameters
    ----------
    width : channels at half resolution; twice as many at a quarter
    blocks : residual blocks at half resolution before and after, and at a quarter

    References
    ----------
    Zhang et al., IEEE Trans. Image Process. 27, 4608 (2018), doi:10.1109/TIP.2018.2839891 (noise level as an input);
    Mohan et al., Robust and interpretable blind image denoising via bias-free CNNs, arXiv:1906.05478
    """

    def __init__(self, width: int = 32, blocks: tuple[int, int] = (2, 3)):
        super().__init__()
        outer, inner = blocks
        self.head = nn.Conv2d(5, width, 3, padding=1, bias=False)
        self.before = nn.Sequential(*[Residual(width) for _ in range(outer)])
        self.down = nn.Conv2d(width, 2 * width, 2, stride=2, bias=False)
        self.deep = nn.Sequential(*[Residual(2 * width) for _ in range(inner)])
        self.up = nn.ConvTranspose2d(2 * width, width, 2, stride=2, bias=False)
        self.after = nn.Sequential(*[Residual(width) for _ in range(outer)])
        self.tail = nn.Conv2d(width, 4, 3, padding=1, bias=False)

    def forward(self, image: Tensor, sigma: Tensor) -> Tensor:
        """
        Parameters
        ----------
        image : (B, 1, H, W) float32, H and W multiples of 4
        sigma : (B, 1, 1, 1) float32, standard deviation of the noise in units of the image
        """
        split = functional.pixel_unshuffle(image, 2)
        level = sigma.expand(-1, 1, *split.shape[-2:])
        shallow = self.before(self.head(torch.cat([split, level], 1)))
        features = shallow + self.up(self.deep(self.down(shallow)))
        return image - functional.pixel_shuffle(self.tail(self.after(features)), 2)
