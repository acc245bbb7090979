"""What the projections ask of their arguments; every fault is a ValueError that says what was got and is allowed."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from cdipipe.ops.complaint import fail

CONSTRAINTS = ("support", "real_nonneg", "re_nonneg", "quadrant", "phase_range")
"""By the numbers of ``projection::Constraint`` in csrc."""
REAL_DTYPES = {torch.complex64: torch.float32, torch.complex128: torch.float64}


def check_complex(name: str, tensor: Tensor) -> None:
    if tensor.dtype not in REAL_DTYPES:
        fail(f"{name} dtype", tensor.dtype, "torch.complex64, torch.complex128")


def check_in_place(name: str, tensor: Tensor, instead: str) -> None:
    if tensor.requires_grad and torch.is_grad_enabled():
        raise ValueError(f"{name} requires a gradient and cannot be changed in place; use {instead}")


def check_companion(name: str, tensor: Tensor, leader: Tensor, grid: torch.Size, batch_shape: torch.Size) -> None:
    """A per-pixel array must have the grid as its last axes and broadcast over the batch, on the same device."""
    if tensor.device != leader.device:
        fail(f"{name} device", tensor.device, str(leader.device))
    if tensor.shape == grid:
        return
    split = tensor.ndim - len(grid)
    leading = tensor.shape[: max(split, 0)]
    fits = split >= 0 and tensor.shape[split:] == grid and len(leading) <= len(batch_shape)
    pairs = zip(reversed(leading), reversed(batch_shape), strict=False)
    if not fits or any(size not in (1, batch) for size, batch in pairs):
        fail(f"{name} shape", tuple(tensor.shape), f"{tuple(grid)} or {tuple(batch_shape + grid)}")


def check_mask(name: str, mask: Tensor) -> None:
    if mask.dtype not in (torch.bool, torch.uint8):
        fail(f"{name} dtype", mask.dtype, "torch.bool, torch.uint8")


def check_modulus_arguments(wavefront, modulus, measured, modes: bool, ndim: int) -> torch.Size:
    """Raise what is wrong, return the batch shape."""
    check_complex("wavefront", wavefront)
    shape, axes = wavefront.shape, wavefront.ndim - ndim
    if axes < modes or ndim < 1:
        what = "modes and the grid" if modes else "the grid"
        fail("wavefront shape", tuple(shape), f"at least {ndim + modes} axes, {what} of ndim={ndim}")
    grid, batch_shape = shape[axes:], shape[: axes - modes]
    if modes and shape[axes - 1] == 0:
        fail("wavefront shape", tuple(shape), "at least one mode")
    if modulus.dtype != REAL_DTYPES[wavefront.dtype]:
        fail("modulus dtype", modulus.dtype, f"{REAL_DTYPES[wavefront.dtype]} with a {wavefront.dtype} wavefront")
    check_companion("modulus", modulus, wavefront, grid, batch_shape)
    if measured is not None:
        check_mask("measured", measured)
        check_companion("measured", measured, wavefront, grid, batch_shape)
    return batch_shape


def check_error_out(error_out: Tensor, batch_shape: torch.Size, device: torch.device) -> None:
    fits = error_out.dtype == torch.float64 and error_out.shape == batch_shape and error_out.is_contiguous()
    if not fits or error_out.device != device:
        got = f"{error_out.dtype} {tuple(error_out.shape)} on {error_out.device}"
        fail("error_out", got, f"contiguous torch.float64 {tuple(batch_shape)} on {device}")


def check_object_arguments(exit_wave, projected, support, constraint, phase_range_rad) -> None:
    check_complex("projected", projected)
    if constraint not in CONSTRAINTS:
        fail("constraint", f"'{constraint}'", ", ".join(CONSTRAINTS))
    if exit_wave.dtype != projected.dtype or exit_wave.shape != projected.shape or exit_wave.device != projected.device:
        got = f"{exit_wave.dtype} {tuple(exit_wave.shape)} on {exit_wave.device}"
        fail("exit_wave", got, f"{projected.dtype} {tuple(projected.shape)} on {projected.device}, like projected")
    check_mask("support", support)
    if support.device != projected.device:
        fail("support device", support.device, str(projected.device))
    pairs = zip(reversed(support.shape), reversed(projected.shape), strict=False)
    if support.ndim > projected.ndim or any(size not in (1, wanted) for size, wanted in pairs):
        fail("support shape", tuple(support.shape), f"what broadcasts to {tuple(projected.shape)}")
    if constraint == "phase_range":
        width = phase_range_rad[1] - phase_range_rad[0]
        if not 0 < width <= 2 * math.pi + 1e-9:
            fail("phase_range_rad", tuple(phase_range_rad), "(min, max) with 0 < max - min <= 2 pi")


def effective_constraint(constraint: str, phase_range_rad: tuple[float, float]) -> str:
    """A phase range of a full turn forbids nothing."""
    full = constraint == "phase_range" and phase_range_rad[1] - phase_range_rad[0] >= 2 * math.pi - 1e-6
    return "support" if full else constraint
