"""3-D convolution that is fast for single small volumes and movies, too, on a CPU.

PyTorch hands a float32 convolution to oneDNN only where it has several samples or more than ``FEW`` rows; otherwise it
writes out every neighbourhood of every voxel. Here such a one is a 2-D convolution with a sample per plane, whose
channels are those of the neighbouring planes: the same sums, several times faster.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

FEW = 20480
"""Channels x planes x rows of a single sample up to which PyTorch does not use oneDNN (its Convolution.cpp)."""


class Conv3d(nn.Conv3d):
    """(B, C, D, H, W) as ``torch.nn.Conv3d`` takes it, any dtype; padding with zeros, no dilation, no groups."""

    def forward(self, volumes: Tensor) -> Tensor:
        if not _is_slow(volumes) or self.kernel_size == (1, 1, 1):
            return super().forward(volumes)
        return by_planes(volumes, self.weight, self.bias, self.stride, self.padding)


def _is_slow(volumes: Tensor) -> bool:
    """Would PyTorch take its slow path?"""
    plain = volumes.device.type == "cpu" and volumes.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
    return plain and len(volumes) == 1 and volumes[0, ..., 0].numel() <= FEW


def by_planes(volumes: Tensor, weight: Tensor, bias: Tensor | None, stride, padding) -> Tensor:
    """The convolution of (B, C, D, H, W) with (O, C, k, l, m), by planes; strides and zeros around of each axis."""
    (step, *steps), (around, *margins), depth = stride, padding, weight.shape[2]
    padded = functional.pad(volumes, (0, 0, 0, 0, around, around)).permute(0, 2, 3, 4, 1)  # channels next to each other
    count = (padded.shape[1] - depth) // step + 1
    planes = [padded[:, first : first + step * (count - 1) + 1 : step] for first in range(depth)]
    images = torch.cat(planes, 4).flatten(0, 1).permute(0, 3, 1, 2)
    kernels = weight.transpose(1, 2).flatten(1, 2)
    return functional.conv2d(images, kernels, bias, steps, margins).unflatten(0, (-1, count)).transpose(1, 2)
