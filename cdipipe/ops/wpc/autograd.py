"""Registers torch.ops.cdipipe.{window_ratio, renormalise}: dispatch, fake tensors and gradients.

The ratio belongs to a detector's mask: it has no gradient of its own. The features' gradient is the same operation
without bias, since what a pixel was multiplied with its gradient is multiplied with.
"""

from __future__ import annotations

import torch
from torch import Tensor

from cdipipe.ops.wpc import native, reference


@torch.library.custom_op(
    "cdipipe::window_ratio",
    mutates_args=(),
    schema="(Tensor measured, Tensor weights, int kernel, int stride, int padding) -> (Tensor, Tensor)",
)
def window_ratio(measured, weights, kernel, stride, padding):
    if native.takes(weights):
        return native.window_ratio(measured, weights, kernel, stride, padding)
    return reference.reference_window_ratio(measured, weights, kernel, stride, padding)


@window_ratio.register_fake
def _(measured, weights, kernel, stride, padding):
    shape = native.output_shape(measured, kernel, stride, padding)
    return weights.new_empty(shape), measured.new_empty(shape, dtype=torch.bool)


@torch.library.custom_op(
    "cdipipe::renormalise",
    mutates_args=(),
    schema="(Tensor features, Tensor ratio, Tensor? bias, bool zero_invalid) -> Tensor",
)
def renormalise(features, ratio, bias, zero_invalid):
    features = native.dense(features)
    out = torch.empty_like(features)
    if native.takes(features):
        native.renormalise(features, ratio, bias, out, False, zero_invalid)
        return out
    return out.copy_(reference.reference_renormalise(features, ratio, bias, zero_invalid=zero_invalid))


@renormalise.register_fake
def _(features, ratio, bias, zero_invalid):
    return torch.empty_like(native.dense(features))


def _keep_inputs(ctx, inputs, output):
    features, ratio, _, ctx.zero_invalid = inputs
    ctx.save_for_backward(features if ctx.needs_input_grad[1] else None, ratio)


def _sum_over_features(grad: Tensor, features: Tensor, ratio: Tensor, zero_invalid: bool) -> Tensor:
    """Gradient of the ratio; 0 where nothing is valid, as there the ratio decides nothing if ``zero_invalid``."""
    total = (grad * features).sum(-3)
    if zero_invalid:
        total = torch.where(ratio == 0, 0, total)
    return total.sum_to_size(ratio.shape)


def _backward(ctx, grad):
    features, ratio = ctx.saved_tensors
    to_features = to_ratio = to_bias = None
    if ctx.needs_input_grad[0]:
        to_features = torch.ops.cdipipe.renormalise(grad, ratio, None, ctx.zero_invalid)
    if ctx.needs_input_grad[1]:
        to_ratio = _sum_over_features(grad, features, ratio, ctx.zero_invalid)
    if ctx.needs_input_grad[2]:
        seen = torch.where(ratio.unsqueeze(-3) == 0, 0, grad) if ctx.zero_invalid else grad
        to_bias = seen.sum((0, 2, 3))
    return to_features, to_ratio, to_bias, None


renormalise.register_autograd(_backward, setup_context=_keep_inputs)
