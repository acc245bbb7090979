"""Orthonormal Fourier transforms of complex tensors, in FFT order, for loops that make thousands of them.

All else takes those of :mod:`cdipipe.optics.fourier`, which depend on no compiled code of ours.

On a CPU, where PyTorch has Intel's MKL inside, its plans are kept from call to call and the transform may overwrite its
argument; the values are those of ``torch.fft``, which does everything else: gradients, GPUs, other processors.

On a GPU torch scales in a pass of its own over the array. Where a kernel of ours stands between a transform and its
inverse it scales instead, see :func:`share`.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.autograd.graph import increment_version

from cdipipe.ops import backend

_DOUBLE = {torch.complex64: False, torch.complex128: True}
_TOLERANCE = {torch.complex64: 1e-5, torch.complex128: 1e-13}


def share(array: Tensor, ndim: int) -> float:
    """What a kernel multiplies by, before and after its work, where transforms on both sides of it do not scale.

    Parameters
    ----------
    array : (..., *grid) complex, to be transformed
    ndim : number of grid axes

    Returns
    -------
    ``1 / sqrt(pixels)``; 1 where transforms scale: on a CPU, which does it on the way, and where no kernel is
    """
    if array.is_cpu or array.dtype != torch.complex64 or not backend.use_native(array.device.type):
        return 1.0
    return array.shape[-ndim:].numel() ** -0.5


def transform(array: Tensor, ndim: int, inverse: bool = False, share: float = 1.0) -> Tensor:
    """Transform along the last axes into a new tensor.

    Parameters
    ----------
    array : (..., *grid) complex
    ndim : number of grid axes
    inverse : whether back
    share : of :func:`share`; anything but 1: without scaling
    """
    if share == 1 and is_planned(array, ndim):
        out = torch.empty_like(array)
        if _run(array, out, ndim, inverse):
            return out
    return _by_torch(array, ndim, inverse, share)


def transform_(array: Tensor, ndim: int, inverse: bool = False, share: float = 1.0) -> Tensor:
    """:func:`transform` of a tensor that nobody needs any more: in its memory where that is possible.

    Parameters
    ----------
    array : (..., *grid) complex
        Either as before or overwritten.
    ndim, inverse, share : as in :func:`transform`

    Returns
    -------
    ``array``, or a new tensor
    """
    if share == 1 and is_planned(array, ndim) and _run(array, array, ndim, inverse):
        increment_version(array)
        return array
    return _by_torch(array, ndim, inverse, share)


def has_plans() -> bool:
    """Whether kept plans are there, and give what ``torch.fft`` gives."""
    return backend.use_native("cpu") and _are_right()


def _by_torch(array: Tensor, ndim: int, inverse: bool, share: float = 1.0) -> Tensor:
    run, unscaled = (torch.fft.ifftn, "forward") if inverse else (torch.fft.fftn, "backward")
    return run(array, dim=tuple(range(-ndim, 0)), norm="ortho" if share == 1 else unscaled)


def is_planned(array: Tensor, ndim: int) -> bool:
    """Whether compiled code transforms it: what loops on a CPU give, with nobody who wants a gradient or a trace.

    Parameters
    ----------
    array : (..., *grid)
    ndim : number of grid axes
    """
    return (
        array.dtype in _DOUBLE
        and type(array) is Tensor
        and array.is_cpu
        and 2 <= ndim <= 3
        and array.ndim >= ndim
        and array.is_contiguous()
        and not array.is_conj()
        and array.numel() > 0
        and not (array.requires_grad and torch.is_grad_enabled())
        and forward_ad._current_level < 0
        and not torch.compiler.is_compiling()
        and has_plans()
    )


def _run(array: Tensor, out: Tensor, ndim: int, inverse: bool) -> bool:
    """False: nothing was done, as inside ``torch.func.vmap``, where tensors have no memory."""
    try:
        addresses = array.data_ptr(), out.data_ptr()
    except RuntimeError:
        return False
    _transform(*addresses, array.dtype, array.shape, ndim, inverse)
    return True


def _transform(source: int, target: int, dtype: torch.dtype, shape: torch.Size, ndim: int, inverse: bool) -> None:
    batch = shape[:-ndim].numel()
    threads = torch.get_num_threads()
    backend.native.fourier_transform(source, target, _DOUBLE[dtype], shape[-ndim:], batch, inverse, threads)


@functools.cache
def _are_right() -> bool:
    """Look at small transforms of every kind before the first that counts."""
    if not getattr(backend.native, "has_fourier_plans", bool)():  # a module that was built before has none
        return False
    with torch.no_grad():
        return all(_is_right(*case) for case in [((3, 6, 10), 2), ((2, 4, 6, 5), 3)])


def _is_right(shape: tuple[int, ...], ndim: int) -> bool:
    number = torch.arange(torch.Size(shape).numel(), dtype=torch.float64).reshape(shape)
    for dtype, tolerance in _TOLERANCE.items():
        array = torch.polar(1 + torch.cos(3 * number), number.square()).to(dtype)
        for inverse in (False, True):
            wanted, out, same = _by_torch(array, ndim, inverse), torch.zeros_like(array), array.clone()
            try:
                _transform(array.data_ptr(), out.data_ptr(), dtype, array.shape, ndim, inverse)
                _transform(same.data_ptr(), same.data_ptr(), dtype, array.shape, ndim, inverse)
            except RuntimeError:
                return False
            if not all(torch.allclose(got, wanted, rtol=0, atol=tolerance) for got in (out, same)):
                return False
    return True
