"""A whole iteration of which ER, HIO and RAAR are parameters: transform, modulus, transform back, object update.

In place and without autograd, for loops; conventions as in :mod:`cdipipe.ops.projection`. On a CPU all steps of an item
of a batch follow each other while it is in the cache.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd.graph import increment_version

from cdipipe.ops import backend, fft
from cdipipe.ops.projection import HALF_TURN_RANGE, checks, native, project_modulus_, update_object_


def iterate_(
    exit_wave: Tensor,
    modulus: Tensor,
    measured: Tensor,
    support: Tensor,
    error_out: Tensor,
    constraint: str = "support",
    *,
    a: float,
    b: float,
    c: float,
    g: float,
    phase_range_rad: tuple[float, float] = HALF_TURN_RANGE,
    ndim: int = 2,
) -> Tensor:
    """Replace an exit wave by the next one; what it is on the detector is its orthonormal Fourier transform.

    Parameters
    ----------
    exit_wave : (..., *grid) complex64 or complex128, FFT order
        u, replaced by the update of :func:`cdipipe.ops.projection.update_object`.
    modulus, measured, ndim : as in :func:`cdipipe.ops.projection.project_modulus`
    support, constraint, a, b, c, g, phase_range_rad : as in :func:`cdipipe.ops.projection.update_object`
    error_out : contiguous float64 of the batch shape
        Receives the error sums of :func:`cdipipe.ops.projection.project_modulus`.

    Returns
    -------
    P_M u, like ``exit_wave``

    Raises
    ------
    ValueError
        An argument does not fit; the message gives what was got and what is allowed.
    """
    if constraint not in ("support", "real_nonneg"):
        checks.check_object_arguments(exit_wave, exit_wave, support, constraint, phase_range_rad)
        constraint = checks.effective_constraint(constraint, phase_range_rad)
    rule = constraint, (a, b, c, g), phase_range_rad
    if _is_usual(exit_wave, modulus, measured, support, error_out, ndim):
        projected, batch = torch.empty_like(exit_wave), error_out.numel()
        pixels = exit_wave.numel() // batch
        backend.native.iterate(
            exit_wave.data_ptr(),
            projected.data_ptr(),
            modulus.data_ptr(),
            pixels if modulus.numel() > pixels else 0,
            measured.data_ptr(),
            pixels if measured.numel() > pixels else 0,
            error_out.data_ptr(),
            support.data_ptr(),
            pixels if support.numel() > pixels else 0,
            exit_wave.shape[-ndim:],
            batch,
            native.known_rule(*rule),
            torch.get_num_threads(),
        )
        increment_version(exit_wave)
        return projected
    share = fft.share(exit_wave, ndim)
    wavefront = fft.transform(exit_wave, ndim, share=share)
    project_modulus_(wavefront, modulus, measured, error_out, ndim=ndim, scale=share)
    projected = fft.transform_(wavefront, ndim, inverse=True, share=share)
    update_object_(exit_wave, projected, support, constraint, a=a, b=b, c=c, g=g, phase_range_rad=phase_range_rad)
    return projected


def _is_usual(exit_wave, modulus, measured, support, error, ndim: int) -> bool:
    """Whether it is what loops on a CPU give, which is seen to be right at a glance."""
    shape = exit_wave.shape
    grid = shape[-ndim:]
    return (
        exit_wave.dtype is torch.complex64
        and modulus.dtype is torch.float32
        and measured.dtype is torch.bool
        and support.dtype is torch.bool
        and error.dtype is torch.float64
        and modulus.is_cpu
        and measured.is_cpu
        and support.is_cpu
        and error.is_cpu
        and (modulus.shape == grid or modulus.shape == shape)
        and (measured.shape == grid or measured.shape == shape)
        and (support.shape == grid or support.shape == shape)
        and error.shape == shape[:-ndim]
        and modulus.is_contiguous()
        and not modulus.is_neg()
        and measured.is_contiguous()
        and support.is_contiguous()
        and error.is_contiguous()
        and not exit_wave.requires_grad
        and fft.is_planned(exit_wave, ndim)
    )
