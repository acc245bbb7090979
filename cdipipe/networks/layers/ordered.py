"""Layers whose gradients are sums in a fixed order on a GPU, too, where torch's own add in any order.

On a CPU, and where no gradient is wanted, they are torch's own.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


def _wants_order(x: Tensor) -> bool:
    return x.is_cuda and x.requires_grad and torch.is_grad_enabled()


def pad_reflected(x: Tensor, border: tuple[int, int]) -> Tensor:
    """(..., H, W) with so many rows and columns more on each side, reflected about the outermost ones.

    Parameters
    ----------
    border : rows and columns, each below the size of its axis
    """
    if not _wants_order(x):
        rows, columns = border
        return functional.pad(x, (columns, columns, rows, rows), mode="reflect")
    for axis, width in zip((-2, -1), border, strict=True):
        size = x.shape[axis]
        before, behind = x.narrow(axis, 1, width).flip(axis), x.narrow(axis, size - 1 - width, width).flip(axis)
        x = torch.cat((before, x, behind), axis)
    return x


class ReflectedConv2d(nn.Conv2d):
    """A convolution with reflected borders of half its kernel.

    Parameters
    ----------
    channels_in, channels_out, kernel, stride : int; ``kernel`` is odd
    """

    def __init__(self, channels_in: int, channels_out: int, kernel: int, stride: int = 1):
        options = {"padding": kernel // 2, "bias": False, "padding_mode": "reflect"}
        super().__init__(channels_in, channels_out, kernel, stride, **options)

    def forward(self, x: Tensor) -> Tensor:
        return functional.conv2d(pad_reflected(x, self.padding), self.weight, None, self.stride)


class Halving3d(nn.AvgPool3d):
    """Means of 2 x 2 x 2 voxels; sides are even."""

    def __init__(self):
        super().__init__(2)

    def forward(self, x: Tensor) -> Tensor:
        if not _wants_order(x):
            return super().forward(x)
        for axis in range(2, 5):
            x = x.unflatten(axis, (-1, 2)).mean(axis + 1)
        return x


class Doubling(nn.Upsample):
    """Twice as many pixels along each axis by linear interpolation.

    Parameters
    ----------
    mode : ``bilinear`` or ``trilinear``
    """

    def __init__(self, mode: str):
        super().__init__(scale_factor=2, mode=mode)

    def forward(self, x: Tensor) -> Tensor:
        return double(x) if _wants_order(x) else super().forward(x)


def double(x: Tensor) -> Tensor:
    """What :class:`Doubling` computes, of (B, C, *grid), by slices: a new pixel is 3/4 of one and 1/4 of another."""
    for axis in range(2, x.ndim):
        last = x.shape[axis] - 1
        before = torch.cat((x.narrow(axis, 0, 1), x.narrow(axis, 0, last)), axis)
        behind = torch.cat((x.narrow(axis, 1, last), x.narrow(axis, last, 1)), axis)
        x = torch.stack((0.75 * x + 0.25 * before, 0.75 * x + 0.25 * behind), axis + 1).flatten(axis, axis + 1)
    return x
