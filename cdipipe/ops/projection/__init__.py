"""Projections of phase retrieval: modulus projection with its error, and the fused object update.

Functions whose name ends with ``_`` change their first argument, know nothing of autograd and cost a few microseconds:
they are for loops. The others are differentiable. complex64 tensors go to compiled code where it exists, all others to
:mod:`cdipipe.ops.projection.reference`. Everything is elementwise, so FFT order and centred order are alike; ``ndim``
is the number of grid axes (2 or 3), counted from the last.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd.graph import increment_version

from cdipipe.ops.projection import native
from cdipipe.ops.projection.autograd import run_project_modulus, run_update_object  # registers torch.ops.cdipipe.*
from cdipipe.ops.projection.checks import (
    CONSTRAINTS,
    check_error_out,
    check_in_place,
    check_modulus_arguments,
    check_object_arguments,
    effective_constraint,
)
from cdipipe.ops.projection.reference import HALF_TURN_RANGE, reference_project_modulus, reference_update_object

__all__ = [
    "CONSTRAINTS",
    "HALF_TURN_RANGE",
    "project_modulus",
    "project_modulus_",
    "project_object",
    "reference_project_modulus",
    "reference_update_object",
    "subtract_projection_",
    "update_object",
    "update_object_",
]


def _is_plain(*tensors: Tensor) -> bool:
    """Does nobody want a gradient of what comes out, or a trace of how?"""
    wanted = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)
    return not wanted and not torch.compiler.is_compiling() and all(type(tensor) is Tensor for tensor in tensors)


def project_modulus(
    wavefront: Tensor, modulus: Tensor, measured: Tensor | None = None, *, modes: bool = False, ndim: int = 2
) -> tuple[Tensor, Tensor]:
    """Replace the modulus of a detector wavefront by the measured one, keep the phases (P_M in Fourier space).

    Parameters
    ----------
    wavefront : (..., [M,] *grid) complex64 or complex128
        Detector plane; with ``modes`` the axis before the grid holds M incoherent modes, which share the factor
        ``modulus / sqrt(sum_m |wavefront_m|^2)``.
    modulus : (*grid) or (..., *grid) float32 or float64, not negative
        sqrt(photons), in the order (centred or FFT) of ``wavefront``.
    measured : (*grid) or (..., *grid) bool, optional
        False: the pixel keeps its current value, bit for bit. None: all pixels are trusted.
    modes : whether there is a mode axis
    ndim : number of grid axes

    Returns
    -------
    projected : like ``wavefront``; a measured pixel of value 0 becomes ``modulus / sqrt(M)``, phase 0
    error_sum : (...) float64
        sum of ``| sqrt(sum_m |wavefront_m|^2) - modulus |`` over measured pixels, before the projection.

    Raises
    ------
    ValueError
        A dtype, shape or device does not fit; the message gives what was got and what is allowed.

    References
    ----------
    Fienup, Appl. Opt. 21, 2758 (1982), doi:10.1364/AO.21.002758
    """
    check_modulus_arguments(wavefront, modulus, measured, modes, ndim)
    run = run_project_modulus if _is_plain(wavefront, modulus) else torch.ops.cdipipe.project_modulus
    return run(wavefront, modulus, measured, modes, ndim)


def project_modulus_(
    wavefront: Tensor,
    modulus: Tensor,
    measured: Tensor | None = None,
    error_out: Tensor | None = None,
    modes: bool = False,
    *,
    ndim: int = 2,
    scale: float = 1.0,
) -> Tensor:
    """:func:`project_modulus` in place, without autograd; of z it makes ``scale P(scale z)``.

    Parameters
    ----------
    wavefront, modulus, measured, modes, ndim : as in :func:`project_modulus`
    error_out : contiguous float64 of the batch shape, optional
        Receives the error sums.
    scale : 1, or :func:`cdipipe.ops.fft.share` between transforms that do not scale

    Returns
    -------
    ``wavefront``

    Raises
    ------
    ValueError
        An argument does not fit, or ``wavefront`` cannot be overwritten.
    """
    if (
        not modes
        and scale == 1
        and not wavefront.requires_grad
        and native.project_usual(wavefront, modulus, measured, error_out, ndim)
    ):
        increment_version(wavefront)
        return wavefront
    batch_shape = check_modulus_arguments(wavefront, modulus, measured, modes, ndim)
    check_in_place("wavefront", wavefront, "project_modulus")
    if error_out is not None:
        check_error_out(error_out, batch_shape, wavefront.device)
    if native.takes(wavefront) and native.is_dense(wavefront):
        native.project_modulus(wavefront, wavefront, modulus, measured, error_out, modes, ndim, scale)
        increment_version(wavefront)
        return wavefront
    with torch.no_grad():
        seen = wavefront if scale == 1 else scale * wavefront
        projected, error = reference_project_modulus(seen, modulus, measured, modes=modes, ndim=ndim)
        if error_out is not None:
            error_out.copy_(error)
        return wavefront.copy_(projected if scale == 1 else scale * projected)


def update_object(
    exit_wave: Tensor,
    projected: Tensor,
    support: Tensor,
    constraint: str = "support",
    *,
    a: float,
    b: float,
    c: float,
    g: float,
    phase_range_rad: tuple[float, float] = HALF_TURN_RANGE,
) -> Tensor:
    """One object-domain update of which ER, HIO and RAAR are parameters.

    With ``t = P + g (P - u)``: where t lies inside the support and satisfies the constraint the result is P, elsewhere
    ``a u + b P + c P_S(t)``; P_S is the nearest point of the object set, 0 outside the support.

    ========  ====  ========  ====  ===
    method    a     b         c     g
    ========  ====  ========  ====  ===
    ER        0     0         1     0
    HIO       1     -beta     0     0
    RAAR      beta  1-2beta   beta  1
    ========  ====  ========  ====  ===

    Parameters
    ----------
    exit_wave : (..., *grid) complex64 or complex128
        u, the iterate; not read where a = g = 0.
    projected : like ``exit_wave``
        P = P_M u.
    support : (*grid) or (..., *grid) bool
        True inside.
    constraint : str
        ``support``; ``real_nonneg`` (u and P are replaced by their real parts first); ``re_nonneg`` (Re t >= 0);
        ``quadrant`` (Re t >= 0 and Im t >= 0); ``phase_range`` (arg t within ``phase_range_rad``).
    phase_range_rad : (min, max), 0 < max - min <= 2 pi
    a, b, c, g : weights of u, P, P_S(t) and of the reflection, see the table

    Raises
    ------
    ValueError
        An argument does not fit; the message gives what was got and what is allowed.

    References
    ----------
    Fienup, Appl. Opt. 21, 2758 (1982), doi:10.1364/AO.21.002758; Luke, Inverse Problems 21, 37 (2005),
    doi:10.1088/0266-5611/21/1/004
    """
    check_object_arguments(exit_wave, projected, support, constraint, phase_range_rad)
    constraint = effective_constraint(constraint, phase_range_rad)
    run = run_update_object if _is_plain(exit_wave, projected) else torch.ops.cdipipe.update_object
    return run(exit_wave, projected, support, constraint, [a, b, c, g], [float(x) for x in phase_range_rad])


def update_object_(
    exit_wave: Tensor,
    projected: Tensor,
    support: Tensor,
    constraint: str = "support",
    *,
    a: float,
    b: float,
    c: float,
    g: float,
    phase_range_rad: tuple[float, float] = HALF_TURN_RANGE,
) -> Tensor:
    """:func:`update_object` in place in ``exit_wave``, without autograd.

    Parameters
    ----------
    exit_wave, projected, support, constraint, a, b, c, g, phase_range_rad : as in :func:`update_object`

    Returns
    -------
    ``exit_wave``

    Raises
    ------
    ValueError
        An argument does not fit, or ``exit_wave`` cannot be overwritten.
    """
    plain = constraint == "support" or constraint == "real_nonneg"
    rule = constraint, (a, b, c, g), phase_range_rad
    if plain and not exit_wave.requires_grad and native.update_usual(exit_wave, projected, support, *rule):
        increment_version(exit_wave)
        return exit_wave
    check_object_arguments(exit_wave, projected, support, constraint, phase_range_rad)
    check_in_place("exit_wave", exit_wave, "update_object")
    constraint = effective_constraint(constraint, phase_range_rad)
    if native.takes(exit_wave) and native.is_dense(exit_wave):
        rule = constraint, (a, b, c, g), phase_range_rad
        native.update_object(exit_wave, native.dense(projected), support, exit_wave, *rule)
        increment_version(exit_wave)
        return exit_wave
    with torch.no_grad():
        rule = {"a": a, "b": b, "c": c, "g": g, "phase_range_rad": phase_range_rad}
        return exit_wave.copy_(reference_update_object(exit_wave, projected, support, constraint, **rule))


def subtract_projection_(
    object_: Tensor,
    support: Tensor,
    constraint: str = "support",
    phase_range_rad: tuple[float, float] = HALF_TURN_RANGE,
) -> Tensor:
    """``v - project_object(v)`` in place in v, without autograd.

    What is left of v after its nearest member of the object set is taken away: by Moreau's decomposition the proximal
    step of the conjugate of the set's indicator. With ``real_nonneg`` the imaginary part is left as it is.

    Parameters
    ----------
    object_ : (..., *grid) complex64 or complex128
        v, replaced.
    support, constraint, phase_range_rad : as in :func:`update_object`

    Returns
    -------
    ``object_``

    Raises
    ------
    ValueError
        An argument does not fit, or ``object_`` cannot be overwritten.
    """
    check_object_arguments(object_, object_, support, constraint, phase_range_rad)
    check_in_place("object", object_, "project_object")
    constraint = effective_constraint(constraint, phase_range_rad)
    if native.takes(object_) and native.is_dense(object_):
        native.subtract_projection(object_, support, constraint, phase_range_rad)
        increment_version(object_)
        return object_
    with torch.no_grad():
        rule = {"a": 0.0, "b": 0.0, "c": 1.0, "g": 0.0, "phase_range_rad": phase_range_rad}
        return object_.sub_(reference_update_object(object_, object_, support, constraint, **rule))


def project_object(
    projected: Tensor,
    support: Tensor,
    constraint: str = "support",
    phase_range_rad: tuple[float, float] = HALF_TURN_RANGE,
) -> Tensor:
    """Nearest member of the object set (P_S). Differentiable.

    Parameters
    ----------
    projected : (..., *grid) complex64 or complex128
    support, constraint, phase_range_rad : as in :func:`update_object`

    Returns
    -------
    like ``projected``

    Raises
    ------
    ValueError
        An argument does not fit; the message gives what was got and what is allowed.
    """
    return update_object(
        projected, projected, support, constraint, a=0.0, b=0.0, c=1.0, g=0.0, phase_range_rad=phase_range_rad
    )
