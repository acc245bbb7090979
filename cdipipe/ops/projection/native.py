"""Tensors to addresses and strides for the compiled projection kernels; arguments were checked before."""

from __future__ import annotations

import functools
import math
from contextlib import nullcontext

import torch
from torch import Tensor

from cdipipe.ops import backend
from cdipipe.ops.projection.checks import CONSTRAINTS

BLOCK_PIXELS = 4096  # kBlockPixels of csrc/projection/projection.h
CONSTRAINT_CODES = {name: code for code, name in enumerate(CONSTRAINTS)}


def takes(tensor: Tensor) -> bool:
    """Does compiled code exist, and is it chosen, for this dtype and device?"""
    return tensor.dtype == torch.complex64 and backend.use_native(tensor.device.type)


def is_dense(tensor: Tensor) -> bool:
    """Is the memory the values, one after the other (no strides, no lazy conjugation)?"""
    return tensor.is_contiguous() and not tensor.is_conj()


def dense(tensor: Tensor) -> Tensor:
    return tensor.resolve_conj().contiguous()


def where(tensor: Tensor):
    """(CUDA ordinal, stream address, context that makes the GPU the current one); on a CPU (-1, threads, nothing)."""
    if not tensor.is_cuda:
        return -1, torch.get_num_threads(), nullcontext()
    index = tensor.device.index
    return index, torch.cuda.current_stream(index).cuda_stream, torch.cuda.device(index)


def address(tensor: Tensor | None) -> int:
    return 0 if tensor is None else tensor.data_ptr()


def _per_pixel(array: Tensor | None, batch_shape: torch.Size, grid: torch.Size, pixels: int):
    """(contiguous array, stride): (pixels) shared by the batch with stride 0, or (batch, pixels)."""
    if array is None:
        return None, 0
    array = array.resolve_neg()
    if array.numel() == pixels:
        return array.contiguous(), 0
    return array.expand(batch_shape + grid).contiguous(), pixels


def modulus_layout(wavefront: Tensor, modulus: Tensor, measured: Tensor | None, modes: bool, ndim: int):
    axes = wavefront.ndim - ndim
    batch_shape, grid = wavefront.shape[: axes - modes], wavefront.shape[axes:]
    sizes = (math.prod(batch_shape), wavefront.shape[axes - 1] if modes else 1, math.prod(grid))
    modulus, modulus_stride = _per_pixel(modulus, batch_shape, grid, sizes[2])
    measured, measured_stride = _per_pixel(measured, batch_shape, grid, sizes[2])
    return sizes, modulus, modulus_stride, measured, measured_stride


def empty_partials(sizes, device) -> Tensor:
    """Room for the error sums of the blocks of (batch, modes, pixels)."""
    return torch.empty(sizes[0] * -(-sizes[2] // BLOCK_PIXELS), dtype=torch.float64, device=device)


def project_modulus(
    wavefront: Tensor,
    out: Tensor,
    modulus: Tensor,
    measured: Tensor | None,
    error: Tensor | None,
    modes: bool,
    ndim: int,
    scale: float = 1.0,
) -> None:
    """Write the projection of contiguous ``wavefront`` to ``out`` (may be the same) and the error sums to ``error``."""
    sizes, modulus, modulus_stride, measured, measured_stride = modulus_layout(
        wavefront, modulus, measured, modes, ndim
    )
    device, queue, current = where(wavefront)
    partials = None
    if device >= 0 and error is not None:
        partials = empty_partials(sizes, wavefront.device)
    with current:
        backend.native.project_modulus(
            device,
            wavefront.data_ptr(),
            out.data_ptr(),
            modulus.data_ptr(),
            modulus_stride,
            address(measured),
            measured_stride,
            address(error),
            *sizes,
            scale,
            address(partials),
            queue,
        )


def project_usual(wavefront, modulus, measured, error, ndim: int) -> bool:
    """:func:`project_modulus` in place of what loops on a CPU give, which is seen to be right at a glance.

    A long look at the arguments takes as long as the kernel on small arrays. False: nothing was done, look closely.
    """
    shape = wavefront.shape
    grid = shape[-ndim:]
    usual = (
        wavefront.dtype is torch.complex64
        and modulus.dtype is torch.float32
        and measured is not None
        and measured.dtype is torch.bool
        and error is not None
        and error.dtype is torch.float64
        and wavefront.is_cpu
        and modulus.is_cpu
        and measured.is_cpu
        and error.is_cpu
        and len(shape) >= ndim >= 1
        and modulus.shape == grid
        and measured.shape == grid
        and error.shape == shape[:-ndim]
        and is_dense(wavefront)
        and modulus.is_contiguous()
        and not modulus.is_neg()
        and measured.is_contiguous()
        and error.is_contiguous()
        and backend.use_native("cpu")
    )
    if not usual:
        return False
    batch, pixels = error.numel(), modulus.numel()
    numbers = (batch, 1, pixels, 1.0, 0, torch.get_num_threads())
    at = wavefront.data_ptr()
    backend.native.project_modulus(
        -1, at, at, modulus.data_ptr(), 0, measured.data_ptr(), 0, error.data_ptr(), *numbers
    )
    return True


def project_modulus_backward(
    wavefront: Tensor,
    modulus: Tensor,
    measured: Tensor | None,
    grad_projected: Tensor,
    grad_error: Tensor,
    modes: bool,
    ndim: int,
) -> Tensor:
    """Gradient with respect to a contiguous wavefront."""
    sizes, modulus, modulus_stride, measured, measured_stride = modulus_layout(
        wavefront, modulus, measured, modes, ndim
    )
    grad_projected, grad_error = dense(grad_projected), grad_error.contiguous()
    out = torch.empty_like(wavefront)
    device, queue, current = where(wavefront)
    with current:
        backend.native.project_modulus_backward(
            device,
            wavefront.data_ptr(),
            modulus.data_ptr(),
            modulus_stride,
            address(measured),
            measured_stride,
            grad_projected.data_ptr(),
            grad_error.data_ptr(),
            out.data_ptr(),
            *sizes,
            queue,
        )
    return out


def _object_layout(like: Tensor, support: Tensor) -> tuple[Tensor, int, int]:
    """(contiguous support, batch, pixels); a support that is not shared by the batch is one large grid."""
    total = like.numel()
    shape = support.shape
    while shape and shape[0] == 1:
        shape = shape[1:]
    if shape == like.shape[like.ndim - len(shape) :]:
        pixels = support.numel()
        return support.contiguous(), total // pixels if pixels else 0, pixels
    return support.expand(like.shape).contiguous(), 1, total


def _rule(constraint: str, coefficients, phase_range_rad):
    return backend.native.ObjectRule(CONSTRAINT_CODES[constraint], *coefficients, *phase_range_rad)


known_rule = functools.lru_cache(_rule)


def update_object(
    exit_wave: Tensor, projected: Tensor, support: Tensor, out: Tensor, constraint: str, coefficients, phase_range_rad
) -> None:
    """Write the update to ``out``, which may be one of the (contiguous) inputs; coefficients are (a, b, c, g)."""
    support, batch, pixels = _object_layout(projected, support)
    device, queue, current = where(projected)
    with current:
        backend.native.update_object(
            device,
            exit_wave.data_ptr(),
            projected.data_ptr(),
            support.data_ptr(),
            out.data_ptr(),
            batch,
            pixels,
            _rule(constraint, coefficients, phase_range_rad),
            queue,
        )


def update_usual(exit_wave, projected, support, constraint: str, coefficients, phase_range_rad) -> bool:
    """:func:`update_object` in place of what loops on a CPU give, as :func:`project_usual`."""
    shape, inside = exit_wave.shape, support.shape
    usual = (
        exit_wave.dtype is torch.complex64
        and projected.dtype is torch.complex64
        and support.dtype is torch.bool
        and exit_wave.is_cpu
        and projected.is_cpu
        and support.is_cpu
        and projected.shape == shape
        and (inside == shape or inside == shape[-len(inside) :])
        and is_dense(exit_wave)
        and is_dense(projected)
        and support.is_contiguous()
        and backend.use_native("cpu")
    )
    if not usual:
        return False
    at, rule, pixels = exit_wave.data_ptr(), known_rule(constraint, coefficients, phase_range_rad), support.numel()
    numbers = (exit_wave.numel() // pixels if pixels else 0, pixels, rule, torch.get_num_threads())
    backend.native.update_object(-1, at, projected.data_ptr(), support.data_ptr(), at, *numbers)
    return True


def update_object_backward(
    exit_wave: Tensor, projected: Tensor, support: Tensor, grad: Tensor, constraint: str, coefficients, phase_range_rad
) -> tuple[Tensor, Tensor]:
    """Gradients with respect to contiguous ``exit_wave`` and ``projected``."""
    support, batch, pixels = _object_layout(projected, support)
    grad = dense(grad)
    to_exit_wave, to_projected = torch.empty_like(exit_wave), torch.empty_like(projected)
    device, queue, current = where(projected)
    with current:
        backend.native.update_object_backward(
            device,
            exit_wave.data_ptr(),
            projected.data_ptr(),
            support.data_ptr(),
            grad.data_ptr(),
            to_exit_wave.data_ptr(),
            to_projected.data_ptr(),
            batch,
            pixels,
            _rule(constraint, coefficients, phase_range_rad),
            queue,
        )
    return to_exit_wave, to_projected


def subtract_projection(object_: Tensor, support: Tensor, constraint: str, phase_range_rad) -> None:
    """Replace a contiguous object by its distance to the nearest member of the set."""
    support, batch, pixels = _object_layout(object_, support)
    device, queue, current = where(object_)
    rule = _rule(constraint, (0.0, 0.0, 1.0, 0.0), phase_range_rad)
    with current:
        backend.native.subtract_projection(device, object_.data_ptr(), support.data_ptr(), batch, pixels, rule, queue)
