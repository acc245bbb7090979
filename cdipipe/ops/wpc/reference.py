"""What the kernels of weighted partial convolution compute, in plain PyTorch; any float dtype and device."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def reference_window_ratio(
    measured: Tensor, weights: Tensor, kernel: int, stride: int, padding: int
) -> tuple[Tensor, Tensor]:
    """Plain PyTorch version of :func:`cdipipe.ops.wpc.window_ratio`."""
    masks = measured.bool().to(weights.dtype).reshape(-1, 1, *weights.shape)
    ones = weights.new_ones(1, 1, kernel, kernel)

    def window_sums(images):
        return functional.conv2d(images, ones, stride=stride, padding=padding)

    every, seen, count = window_sums(weights[None, None]), window_sums(masks * weights), window_sums(masks)
    valid = count > 0
    ratio = torch.where(valid, every / torch.where(valid, seen, 1), 0)
    shape = measured.shape[:-2] + ratio.shape[-2:]
    return ratio.reshape(shape), valid.reshape(shape)


def reference_renormalise(
    features: Tensor, ratio: Tensor, bias: Tensor | None = None, *, zero_invalid: bool = True
) -> Tensor:
    """Plain PyTorch version of :func:`cdipipe.ops.wpc.renormalise`."""
    ratio = ratio.unsqueeze(-3)
    out = features * ratio
    if bias is not None:
        out = out + bias[:, None, None]
    return torch.where(ratio == 0, 0, out) if zero_invalid else out


def reference_first_layer(image: Tensor, kernels: Tensor, ratio: Tensor, bias: Tensor) -> Tensor:
    """Plain PyTorch version of :func:`cdipipe.ops.wpc.first_layer`, without its border: (B, H, W, C)."""
    border = functional.pad(image.unsqueeze(1), (kernels.shape[-1] // 2,) * 4, mode="reflect")
    features = functional.conv2d(border, kernels.unsqueeze(1))
    return torch.relu(reference_renormalise(features, ratio, bias)).permute(0, 2, 3, 1)
