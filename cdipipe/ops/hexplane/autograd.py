"""Registers torch.ops.cdipipe.{hexplane_block, hexplane_points}: dispatch, fake tensors and gradients.

Planes are (batch, n, m, channels) here. Only they have gradients, which are differentiable once. Lists of tensors cost
a registered operator a few tenths of a millisecond, as much as a small block; outside of torch.compile
:class:`EagerBlock` calls the same code without that.
"""

from __future__ import annotations

import torch
from torch.autograd.function import once_differentiable

from cdipipe.ops.hexplane import native, reference


def _fused_channels(planes, fusion: str) -> int:
    width = {"concatenation": len(planes), "pairs": 3}.get(fusion, 1)
    return width * planes[0].shape[-1]


def _empty_block(planes, axes, fusion):
    space = [axis.shape[0] for axis in axes]
    order = space[3:] + space[:3]
    return planes[0].new_empty([planes[0].shape[0], *order, _fused_channels(planes, fusion)])


def _empty_points(planes, coordinates, fusion):
    return planes[0].new_empty([planes[0].shape[0], coordinates.shape[0], _fused_channels(planes, fusion)])


def _dense(tensors):
    return [x.contiguous() for x in tensors]


def _block_forward(planes, axes, fusion):
    out = _empty_block(planes, axes, fusion)
    if out.numel() == 0:
        return out
    if not native.takes(planes):
        return reference.reference_sample_block(planes, axes, fusion).contiguous()
    native.sample_block(_dense(planes), _dense(axes), fusion, out)
    return out


def _block_gradients(planes, axes, fusion, grad):
    if grad.numel() == 0:
        return [torch.zeros_like(plane, memory_format=torch.contiguous_format) for plane in planes]
    if not native.takes(planes):
        return reference.reference_sample_block_backward(planes, axes, fusion, grad)
    return native.sample_block_backward(_dense(planes), _dense(axes), fusion, grad.contiguous())


class EagerBlock(torch.autograd.Function):
    """``apply(fusion, number of planes, *planes, *axes)``."""

    @staticmethod
    def forward(ctx, fusion, count, *tensors):
        ctx.fusion, ctx.count = fusion, count
        ctx.save_for_backward(*tensors)
        return _block_forward(tensors[:count], tensors[count:], fusion)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        planes, axes = ctx.saved_tensors[: ctx.count], ctx.saved_tensors[ctx.count :]
        return None, None, *_block_gradients(planes, axes, ctx.fusion, grad), *[None] * len(axes)


@torch.library.custom_op(
    "cdipipe::hexplane_block",
    mutates_args=(),
    schema="(Tensor[] planes, Tensor[] axes, str fusion) -> Tensor",
)
def hexplane_block(planes, axes, fusion):
    return _block_forward(planes, axes, fusion)


@hexplane_block.register_fake
def _(planes, axes, fusion):
    return _empty_block(planes, axes, fusion)


@torch.library.custom_op(
    "cdipipe::hexplane_block_backward",
    mutates_args=(),
    schema="(Tensor[] planes, Tensor[] axes, str fusion, Tensor grad) -> Tensor[]",
)
def hexplane_block_backward(planes, axes, fusion, grad):
    return _block_gradients(planes, axes, fusion, grad)


@hexplane_block_backward.register_fake
def _(planes, axes, fusion, grad):
    return [plane.new_empty(plane.shape) for plane in planes]


@torch.library.custom_op(
    "cdipipe::hexplane_points",
    mutates_args=(),
    schema="(Tensor[] planes, Tensor coordinates, str fusion) -> Tensor",
)
def hexplane_points(planes, coordinates, fusion):
    out = _empty_points(planes, coordinates, fusion)
    if out.numel() == 0:
        return out
    if not native.takes(planes):
        return reference.reference_sample_points(planes, coordinates, fusion).contiguous()
    native.sample_points(_dense(planes), coordinates.contiguous(), fusion, out)
    return out


@hexplane_points.register_fake
def _(planes, coordinates, fusion):
    return _empty_points(planes, coordinates, fusion)


@torch.library.custom_op(
    "cdipipe::hexplane_points_backward",
    mutates_args=(),
    schema="(Tensor[] planes, Tensor coordinates, str fusion, Tensor grad) -> Tensor[]",
)
def hexplane_points_backward(planes, coordinates, fusion, grad):
    if grad.numel() == 0:
        return [torch.zeros_like(plane, memory_format=torch.contiguous_format) for plane in planes]
    if not native.takes_points_backward(planes):
        return reference.reference_sample_points_backward(planes, coordinates, fusion, grad)
    return native.sample_points_backward(_dense(planes), coordinates.contiguous(), fusion, grad.contiguous())


@hexplane_points_backward.register_fake
def _(planes, coordinates, fusion, grad):
    return [plane.new_empty(plane.shape) for plane in planes]


def _keep_block_inputs(ctx, inputs, output):
    planes, axes, ctx.fusion = inputs
    ctx.count = len(planes)
    ctx.save_for_backward(*planes, *axes)


def _block_backward(ctx, grad):
    planes, axes = ctx.saved_tensors[: ctx.count], ctx.saved_tensors[ctx.count :]
    grads = torch.ops.cdipipe.hexplane_block_backward(planes, axes, ctx.fusion, grad)
    return grads, [None] * len(axes), None


hexplane_block.register_autograd(_block_backward, setup_context=_keep_block_inputs)


def _keep_points_inputs(ctx, inputs, output):
    planes, coordinates, ctx.fusion = inputs
    ctx.save_for_backward(coordinates, *planes)


def _points_backward(ctx, grad):
    coordinates, *planes = ctx.saved_tensors
    return torch.ops.cdipipe.hexplane_points_backward(planes, coordinates, ctx.fusion, grad), None, None


hexplane_points.register_autograd(_points_backward, setup_context=_keep_points_inputs)
