"""Calls of the compiled partial-convolution kernels; shapes and dtypes were checked before."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from cdipipe.ops import backend

LANES = 16
"""Channels that the first layer's kernel works on at once."""


def takes(tensor: Tensor) -> bool:
    """Does compiled code exist, and is it chosen, for this dtype and device?"""
    return tensor.dtype == torch.float32 and backend.use_native(tensor.device.type)


def _call(kernel: Callable, like: Tensor, *arguments) -> None:
    """Run a compiled kernel where ``like`` is: GPU or -1, the arguments, stream or number of threads."""
    if not like.is_cuda:
        return kernel(-1, *arguments, torch.get_num_threads())
    index = like.device.index
    with torch.cuda.device(index):
        return kernel(index, *arguments, torch.cuda.current_stream(index).cuda_stream)


def output_size(size: int, kernel: int, stride: int, padding: int) -> int:
    """Positions of a window along one axis."""
    return (size + 2 * padding - kernel) // stride + 1


def output_shape(measured: Tensor, kernel: int, stride: int, padding: int) -> tuple[int, ...]:
    *leading, height, width = measured.shape
    return (*leading, output_size(height, kernel, stride, padding), output_size(width, kernel, stride, padding))


def window_ratio(measured: Tensor, weights: Tensor, kernel: int, stride: int, padding: int) -> tuple[Tensor, Tensor]:
    measured, weights = measured.contiguous(), weights.contiguous()
    height, width = weights.shape
    shape, device = output_shape(measured, kernel, stride, padding), weights.device
    ratio = torch.empty(shape, dtype=torch.float32, device=device)
    valid = torch.empty(shape, dtype=torch.bool, device=device)
    _call(
        backend.native.window_ratio,
        weights,
        measured.data_ptr(),
        weights.data_ptr(),
        ratio.data_ptr(),
        valid.data_ptr(),
        measured.numel() // (height * width),
        height,
        width,
        *shape[-2:],
        kernel,
        stride,
        padding,
    )
    return ratio, valid


def is_channels_last(features: Tensor) -> bool:
    return not features.is_contiguous() and features.is_contiguous(memory_format=torch.channels_last)


def is_dense(features: Tensor) -> bool:
    """Is the memory the values in one of the two orders that the kernels know?"""
    return features.is_contiguous() or is_channels_last(features)


def dense(features: Tensor) -> Tensor:
    return features if is_channels_last(features) else features.contiguous()


def renormalise(
    features: Tensor, ratio: Tensor, bias: Tensor | None, out: Tensor, relu: bool, zero_invalid: bool
) -> None:
    """Write to ``out``, which may be ``features``; both dense and of the same layout."""
    batch, channels, height, width = features.shape
    pixels = height * width
    shared = ratio.numel() == pixels
    ratio = ratio.contiguous()
    bias = None if bias is None else bias.contiguous()
    _call(
        backend.native.renormalise,
        features,
        features.data_ptr(),
        ratio.data_ptr(),
        0 if shared else pixels,
        0 if bias is None else bias.data_ptr(),
        out.data_ptr(),
        batch,
        channels,
        pixels,
        is_channels_last(features),
        relu,
        zero_invalid,
    )


def first_layer(image: Tensor, kernels: Tensor, ratio: Tensor, bias: Tensor, out: Tensor) -> None:
    """Write to ``out`` (B, H, W, C), whose rows may have gaps; see csrc/wpc/wpc.h for the layouts."""
    size, channels = kernels.shape[0], kernels.shape[2]
    ratio = ratio.contiguous()
    backend.native.first_layer(
        image.data_ptr(),
        kernels.data_ptr(),
        ratio.data_ptr(),
        0 if ratio.numel() == out.shape[1] * out.shape[2] else out.shape[1] * out.shape[2],
        bias.data_ptr(),
        out.data_ptr(),
        out.stride(1),
        out.stride(0),
        *out.shape[:3],
        channels,
        size,
        torch.get_num_threads(),
    )
