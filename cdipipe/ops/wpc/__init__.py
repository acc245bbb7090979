"""Weighted partial convolution: the mask's algebra, and its application to the features of a convolution.

    x' = K (x * M)  sum_i W_i / sum_{M_i = 1} W_i     0 where no pixel under the window is valid

W is the weight of each pixel of the layer's input; equal weights make it plain partial convolution. Everything is a
pure function of its arguments. The ratio depends on the mask alone: for a detector's constant mask it is computed once
per layer, as (h, w), and shared by all samples. float32 tensors go to compiled code where it exists, all others to
:mod:`cdipipe.ops.wpc.reference`.
"""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor
from torch.autograd.graph import increment_version
from torch.compiler import is_dynamo_compiling

from cdipipe.ops.complaint import fail
from cdipipe.ops.wpc import autograd as wpc_autograd  # noqa: F401  registers torch.ops.cdipipe.*
from cdipipe.ops.wpc import native
from cdipipe.ops.wpc.reference import reference_first_layer, reference_renormalise, reference_window_ratio

__all__ = [
    "first_layer",
    "guinier_porod_weights",
    "reference_first_layer",
    "reference_renormalise",
    "reference_window_ratio",
    "renormalise",
    "renormalise_",
    "window_ratio",
]

SMALLEST_WEIGHT = 1e-8


@functools.lru_cache(maxsize=64)
@torch.inference_mode(False)  # a tensor that was made for inference alone must not be kept for training
def _guinier_porod_weights(shape: tuple[int, int], oversampling: float, device: torch.device) -> Tensor:
    rows, columns = (torch.arange(n, dtype=torch.float64) - n // 2 for n in shape)
    q_squared = rows[:, None] ** 2 + columns**2
    q1_squared = 10 * (oversampling / math.pi) ** 2
    guinier = torch.exp(-q_squared * (math.pi / oversampling) ** 2 / 5)
    porod = math.exp(-2) * (q1_squared / q_squared.clamp(min=1)) ** 2
    weights = torch.where(q_squared <= q1_squared, guinier, porod).clamp(min=SMALLEST_WEIGHT)
    return weights.to(device, torch.float32)


def guinier_porod_weights(shape: tuple[int, int], oversampling: float, device=None) -> Tensor:
    """Radial intensity of a smooth sphere, 1 at the centre: what a pixel is expected to hold.

    ``exp(-(pi q / s)^2 / 5)`` up to ``q1 = sqrt(10) s / pi``, then ``exp(-2) (q1 / q)^4``, at least 1e-8; q is the
    distance from pixel ``N // 2`` and s the oversampling ratio, array size over sphere diameter.

    Parameters
    ----------
    shape : (H, W)
    oversampling : float, positive
    device : torch device, default the CPU

    Returns
    -------
    (H, W) float32, not to be changed in place: equal arguments may give the same tensor

    Raises
    ------
    ValueError   the oversampling ratio is not positive

    References
    ----------
    Hammouda, J. Appl. Cryst. 43, 716 (2010), doi:10.1107/S0021889810015773; eq. 1 of Lee et al., npj Comput. Mater.
    (2025), "Deep-learning real-time phase retrieval of imperfect diffraction patterns"
    """
    if not oversampling > 0:
        fail("oversampling", oversampling, "a positive number")
    return _guinier_porod_weights(tuple(shape), float(oversampling), torch.device(device or "cpu"))


def window_ratio(
    measured: Tensor, weights: Tensor, kernel: int, stride: int = 1, padding: int = 0
) -> tuple[Tensor, Tensor]:
    """Weight under each window over its valid part, and whether there is any valid pixel (the mask of the next layer).

    Parameters
    ----------
    measured : (..., H, W) bool or uint8
    weights : (H, W) float32 or float64, positive
    kernel, stride, padding : int
        Of the convolution. Pixels beyond the border count for neither sum.

    Returns
    -------
    ratio : (..., h, w) like ``weights``; sum W / sum_M W, 0 where nothing is valid. It carries no gradient.
    valid : (..., h, w) bool

    Raises
    ------
    ValueError   a shape, dtype, device or window does not fit; the message gives what was got and what is allowed

    References
    ----------
    Liu et al., ECCV 2018, doi:10.1007/978-3-030-01252-6_6, eqs. 1-2 (equal weights); eq. 2 of Lee et al. (2025)
    """
    # what a tensor is asked costs more than many windows: nothing is asked twice
    shape, dtype, device = weights.shape, weights.dtype, weights.device
    if len(shape) != 2 or not dtype.is_floating_point:
        fail("weights", f"{dtype} {tuple(shape)}", "float (H, W)")
    if weights.requires_grad:
        raise ValueError("weights: require a gradient; window_ratio has none")
    if measured.dtype not in (torch.bool, torch.uint8):
        fail("measured dtype", measured.dtype, "torch.bool, torch.uint8")
    if measured.shape[-2:] != shape or measured.device != device:
        got = f"{tuple(measured.shape)} on {measured.device}"
        fail("measured", got, f"(..., {shape[0]}, {shape[1]}) on {device}, like weights")
    if kernel < 1 or stride < 1 or not 0 <= padding < kernel:
        fail("window", (kernel, stride, padding), "kernel >= 1, stride >= 1, 0 <= padding < kernel")
    if min(shape) + 2 * padding < kernel:
        fail("kernel", kernel, f"at most {min(shape) + 2 * padding} for {tuple(shape)}")
    plain = type(measured) is Tensor and type(weights) is Tensor and not is_dynamo_compiling()
    if plain and native.takes(weights):  # it has no gradient: no need for the dispatcher
        return native.window_ratio(measured, weights, kernel, stride, padding)
    return torch.ops.cdipipe.window_ratio(measured, weights, kernel, stride, padding)


def _check_renormalise(features: Tensor, ratio: Tensor, bias: Tensor | None) -> None:
    shape, dtype, device = features.shape, features.dtype, features.device
    if len(shape) != 4 or not dtype.is_floating_point:
        fail("features", f"{dtype} {tuple(shape)}", "float (B, C, H, W)")
    batch, channels = shape[:2]
    of_ratio = ratio.shape
    if of_ratio[-2:] != shape[2:] or of_ratio[:-2] not in ((), (1,), (batch,)):
        fail("ratio shape", tuple(of_ratio), f"{tuple(shape[2:])} or {(batch, *shape[2:])}")
    if bias is not None and bias.shape != (channels,):
        fail("bias shape", tuple(bias.shape), f"({channels},)")
    for name, tensor in (("ratio", ratio), ("bias", bias)):
        if tensor is not None and (tensor.dtype != dtype or tensor.device != device):
            fail(name, f"{tensor.dtype} on {tensor.device}", f"{dtype} on {device}, like features")


def renormalise(features: Tensor, ratio: Tensor, bias: Tensor | None = None, *, zero_invalid: bool = True) -> Tensor:
    """``features * ratio + bias``, and 0 where the ratio is 0: a partial convolution from the one of masked input.

    Parameters
    ----------
    features : (B, C, h, w) float32 or float64, contiguous or channels-last; that order is kept
    ratio : (h, w) or (B, h, w), from :func:`window_ratio`
    bias : (C,), optional
    zero_invalid : False: ``bias`` where the ratio is 0

    Returns
    -------
    like ``features``; differentiable in features, ratio and bias

    Raises
    ------
    ValueError   a shape, dtype or device does not fit
    """
    _check_renormalise(features, ratio, bias)
    return torch.ops.cdipipe.renormalise(features, ratio, bias, zero_invalid)


def renormalise_(
    features: Tensor, ratio: Tensor, bias: Tensor | None = None, *, relu: bool = False, zero_invalid: bool = True
) -> Tensor:
    """:func:`renormalise` in place, then ReLU if asked for, in one pass and without autograd; returns ``features``.

    With a batch normalisation folded into the convolution and ``bias``, this is all that follows the convolution of a
    layer, and the masking of the next layer's input as well: where nothing is valid the result is 0.
    """
    _check_renormalise(features, ratio, bias)
    if features.requires_grad and torch.is_grad_enabled():
        raise ValueError("features require a gradient and cannot be changed in place; use renormalise")
    if native.takes(features) and native.is_dense(features):
        native.renormalise(features, ratio, bias, features, relu, zero_invalid)
        increment_version(features)
        return features
    with torch.no_grad():
        out = reference_renormalise(features, ratio, bias, zero_invalid=zero_invalid)
        return features.copy_(torch.relu(out) if relu else out)


def first_layer(image: Tensor, kernels: Tensor, ratio: Tensor, bias: Tensor) -> Tensor:
    """Partial convolution of a masked one-channel image, bias, ReLU and the next layer's mask, without autograd.

    Parameters
    ----------
    image : (B, H, W) float32, 0 where it was not measured
    kernels : (C, n, n) with odd n; borders are reflected
    ratio : (H, W) or (B, H, W), from :func:`window_ratio` with ``padding = n // 2``
    bias : (C,)

    Returns
    -------
    (B, H + 2, W + 2, C), channels next to each other, with a reflected border of one pixel for a 3 x 3 layer to come
    """
    batch, height, width = image.shape
    channels, size = kernels.shape[:2]
    if size % 2 == 0 or size // 2 >= min(height, width) or kernels.shape != (channels, size, size):
        fail("kernels", tuple(kernels.shape), f"(C, n, n), n odd and below {2 * min(height, width)}")
    _check_renormalise(image.new_empty(1).expand(batch, channels, height, width), ratio, bias)
    framed = image.new_empty(batch, height + 2, width + 2, channels)
    inner = framed[:, 1:-1, 1:-1]
    if native.takes(image) and image.device.type == "cpu" and channels % native.LANES == 0:
        border = torch.nn.functional.pad(image.unsqueeze(1), (size // 2,) * 4, mode="reflect").contiguous()
        native.first_layer(border, kernels.permute(1, 2, 0).contiguous(), ratio, bias.contiguous(), inner)
    else:
        inner.copy_(reference_first_layer(image, kernels, ratio, bias))
    return reflect_frame_(framed)


def reflect_frame_(framed: Tensor) -> Tensor:
    """Fill the outermost pixels of (B, H + 2, W + 2, C) with those one further in than their neighbours."""
    framed[:, 0], framed[:, -1] = framed[:, 2], framed[:, -3]
    framed[:, :, 0], framed[:, :, -1] = framed[:, :, 2], framed[:, :, -3]
    return framed
