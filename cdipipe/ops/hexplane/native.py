"""Tensors to addresses and sizes for the compiled hexplane kernels; arguments were checked before."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext

import torch
from torch import Tensor

from cdipipe.ops import backend

FUSION_CODES = {"product": 0, "sum": 1, "concatenation": 2, "pairs": 3, "pair_sum": 4}


def takes(planes: Sequence[Tensor]) -> bool:
    """Does compiled code exist, and is it chosen, for these planes?"""
    return planes[0].dtype == torch.float32 and backend.use_native(planes[0].device.type)


def takes_points_backward(planes: Sequence[Tensor]) -> bool:
    """On a GPU torch's own scatter is used for single points: it adds in a fixed order."""
    return takes(planes) and not planes[0].is_cuda


def _where(tensor: Tensor):
    """(CUDA ordinal, stream address, context that makes the GPU the current one); on a CPU (-1, threads, nothing)."""
    if not tensor.is_cuda:
        return -1, torch.get_num_threads(), nullcontext()
    index = tensor.device.index
    return index, torch.cuda.current_stream(index).cuda_stream, torch.cuda.device(index)


def _describe_planes(planes: Sequence[Tensor], fusion: str):
    batch, _, _, channels = planes[0].shape
    sizes = [(plane.shape[1], plane.shape[2]) for plane in planes]
    addresses = [plane.data_ptr() for plane in planes]
    return backend.native.HexplanePlanes(addresses, sizes, batch, channels, FUSION_CODES[fusion])


def _describe_axes(axes: Sequence[Tensor]):
    return backend.native.HexplaneAxes([axis.data_ptr() for axis in axes], [len(axis) for axis in axes])


def _workspace(device: int, planes, axes, like: Tensor, backward: bool) -> Tensor:
    """Scratch memory of a GPU call; on a CPU the kernels look after theirs."""
    count = 0 if device < 0 else backend.native.hexplane_block_workspace(planes, axes, backward)
    return like.new_empty(count)


def sample_block(planes: Sequence[Tensor], axes: Sequence[Tensor], fusion: str, out: Tensor) -> None:
    """Fill ``out``; planes (batch, n, m, channels) and axes are contiguous float32."""
    device, queue, current = _where(out)
    described, described_axes = _describe_planes(planes, fusion), _describe_axes(axes)
    with current:
        workspace = _workspace(device, described, described_axes, out, False)
        backend.native.hexplane_block(device, described, described_axes, out.data_ptr(), workspace.data_ptr(), queue)


def sample_block_backward(planes: Sequence[Tensor], axes: Sequence[Tensor], fusion: str, grad: Tensor) -> list[Tensor]:
    """Gradients with respect to the planes from that of the block, all contiguous."""
    grads = [torch.empty_like(plane) for plane in planes]
    device, queue, current = _where(grad)
    described, described_axes = _describe_planes(planes, fusion), _describe_axes(axes)
    with current:
        workspace = _workspace(device, described, described_axes, grad, True)
        backend.native.hexplane_block_backward(
            device,
            described,
            described_axes,
            grad.data_ptr(),
            [x.data_ptr() for x in grads],
            workspace.data_ptr(),
            queue,
        )
    return grads


def sample_points(planes: Sequence[Tensor], coordinates: Tensor, fusion: str, out: Tensor) -> None:
    """Fill ``out`` (batch, count, fused channels); everything is contiguous float32."""
    device, queue, current = _where(out)
    with current:
        backend.native.hexplane_points(
            device, _describe_planes(planes, fusion), coordinates.data_ptr(), len(coordinates), out.data_ptr(), queue
        )


def sample_points_backward(planes: Sequence[Tensor], coordinates: Tensor, fusion: str, grad: Tensor) -> list[Tensor]:
    """Gradients with respect to the planes, on a CPU."""
    grads = [torch.empty_like(plane) for plane in planes]
    backend.native.hexplane_points_backward(
        _describe_planes(planes, fusion),
        coordinates.data_ptr(),
        len(coordinates),
        grad.data_ptr(),
        [x.data_ptr() for x in grads],
        torch.get_num_threads(),
    )
    return grads
