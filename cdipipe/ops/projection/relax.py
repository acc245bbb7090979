"""The detector half of a primal-dual iteration in one pass: filter, step, pull towards the modulus, extrapolate.

In place and without autograd, for loops; conventions as in :mod:`cdipipe.ops.projection`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.autograd.graph import increment_version

from cdipipe.ops import backend
from cdipipe.ops.complaint import fail
from cdipipe.ops.projection import checks, native


def relax_modulus_(
    wavefront: Tensor,
    dual: Tensor,
    modulus: Tensor,
    measured: Tensor,
    error_out: Tensor | None = None,
    *,
    t: float = 1.0,
    s: float = 1.0,
    softness: float = 0.0,
    keep: float = 1.0,
    low_pass: Tensor | None = None,
    reference: Tensor | None = None,
    modes: bool = False,
    ndim: int = 2,
    scale: float = 1.0,
) -> Tensor:
    """Primal step of generalised proximal smoothing on the detector, and what its dual step begins with.

    With y = ``low_pass * dual``, h = z - t y and P_T the modulus projection of h + ``reference``::

        z' = (t (P_T (h + reference) - reference) + softness h) / (t + softness)    on measured pixels, h on others
        dual' = keep y + s (2 z' - z)

    Parameters
    ----------
    wavefront : (..., [M,] *grid) complex64 or complex128
        z, replaced by z'.
    dual : like ``wavefront``
        Wavefront of the dual variable, replaced by dual'.
    modulus, measured : as in :func:`cdipipe.ops.projection.project_modulus`
    error_out : (...) float64, optional
        Receives the sum of ``| sqrt(sum_m |h_m + reference_m|^2) - modulus |`` over measured pixels.
    t, s : primal and dual step, t > 0
    softness : sigma, tolerance of the modulus constraint; 0: h is replaced by its projection
    keep : 1, or 0 where the dual variable is kept elsewhere
    low_pass : (*grid) real, optional
    reference : ([M,] *grid) complex, optional
        Wavefront that is added on the detector but is not part of ``wavefront``.
    scale : 1, or :func:`cdipipe.ops.fft.share`: ``dual`` is then what a transform that does not scale makes of the dual
        variable, and is left for an inverse that does not scale either

    Returns
    -------
    ``wavefront``

    Raises
    ------
    ValueError
        A dtype, shape or device does not fit; the message gives what was got and what is allowed.

    References
    ----------
    Pham, Yin, Rana, Osher & Miao, Opt. Express 27, 2792 (2019), doi:10.1364/OE.27.002792
    """
    batch_shape = checks.check_modulus_arguments(wavefront, modulus, measured, modes, ndim)
    _check_arguments(wavefront, dual, low_pass, reference, t, modes, ndim)
    if error_out is not None:
        checks.check_error_out(error_out, batch_shape, wavefront.device)
    rule = (t, s, t / (t + softness), keep, scale)
    if native.takes(wavefront) and native.is_dense(wavefront) and native.is_dense(dual):
        _relax_native(wavefront, dual, modulus, measured, error_out, rule, low_pass, reference, modes, ndim)
        increment_version(wavefront)
        increment_version(dual)
        return wavefront
    with torch.no_grad():
        z, v, error = reference_relax_modulus(
            wavefront, dual, modulus, measured, rule, low_pass=low_pass, reference=reference, modes=modes, ndim=ndim
        )
        if error_out is not None:
            error_out.copy_(error)
        dual.copy_(v)
        return wavefront.copy_(z)


def _check_arguments(wavefront, dual, low_pass, reference, t, modes, ndim) -> None:
    shape, dtype, device = wavefront.shape, wavefront.dtype, wavefront.device
    real, mode_grid = checks.REAL_DTYPES[dtype], shape[wavefront.ndim - ndim - modes :]
    arrays = {"dual": (dual, dtype, shape), "low_pass": (low_pass, real, shape[wavefront.ndim - ndim :])}
    arrays["reference"] = (reference, dtype, mode_grid)
    for name, (array, wanted, size) in arrays.items():
        if array is not None and (array.dtype != wanted or array.shape != size or array.device != device):
            got = f"{array.dtype} {tuple(array.shape)} on {array.device}"
            fail(name, got, f"{wanted} {tuple(size)} on {device}")
    for name, array in (("wavefront", wavefront), ("dual", dual)):
        checks.check_in_place(name, array, "torch operations")
    if t <= 0:
        fail("t", t, "above 0")


def _relax_native(wavefront, dual, modulus, measured, error, rule, low_pass, reference, modes, ndim) -> None:
    sizes, modulus, modulus_stride, measured, measured_stride = native.modulus_layout(
        wavefront, modulus, measured, modes, ndim
    )
    low_pass = None if low_pass is None else low_pass.resolve_neg().contiguous()
    reference = None if reference is None else native.dense(reference)
    device, queue, current = native.where(wavefront)
    partials = None
    if device >= 0 and error is not None:
        partials = native.empty_partials(sizes, wavefront.device)
    arrays = [native.address(array) for array in (wavefront, dual, low_pass, reference)]
    with current:
        backend.native.relax_modulus(
            device,
            *arrays,
            modulus.data_ptr(),
            modulus_stride,
            measured.data_ptr(),
            measured_stride,
            native.address(error),
            *sizes,
            *rule,
            native.address(partials),
            queue,
        )


def reference_relax_modulus(
    wavefront: Tensor, dual: Tensor, modulus: Tensor, measured: Tensor, rule, *, low_pass, reference, modes, ndim
) -> tuple[Tensor, Tensor, Tensor]:
    """What :func:`relax_modulus_` computes, in plain PyTorch; ``rule`` is (t, s, t / (t + softness), keep,
    scale).

    Returns
    -------
    z', dual' and the error sums, float64
    """
    t, s, pull, keep, scale = rule
    dual = dual if scale == 1 else scale * dual
    y = dual if low_pass is None else dual * (low_pass.unsqueeze(-ndim - 1) if modes else low_pass)
    h = wavefront - t * y
    w = h if reference is None else h + reference
    power = w.real.square() + w.imag.square()
    count = wavefront.shape[-ndim - 1] if modes else 1
    if modes:
        power = power.sum(-ndim - 1, keepdim=True)
        modulus, measured = modulus.unsqueeze(-ndim - 1), measured.unsqueeze(-ndim - 1)
    amplitude, trusted = power.sqrt(), measured.bool()
    dark = amplitude == 0
    factor = pull * (modulus / torch.where(dark, 1, amplitude) - 1)
    correction = torch.where(dark, (pull / math.sqrt(count)) * modulus, factor * w)
    z = h + torch.where(trusted, correction, 0)
    difference = torch.where(trusted, (amplitude - modulus).abs(), 0)
    if modes:
        difference = difference.squeeze(-ndim - 1)
    moved = keep * y + s * (2 * z - wavefront)
    moved = moved if scale == 1 else scale * moved
    return z, moved, difference.sum(dim=tuple(range(-ndim, 0)), dtype=torch.float64)
