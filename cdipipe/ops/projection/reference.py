"""What the projection kernels compute, in plain PyTorch: the definition that compiled code is tested against.

Any complex dtype and device, differentiable by autograd. ``ndim`` is the number of grid axes, counted from the last.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

HALF_TURN_RANGE = (-math.pi / 2, math.pi / 2)


def _squared_modulus(z: Tensor) -> Tensor:
    return z.real.square() + z.imag.square()


def _real_inner(a: Tensor, b: Tensor) -> Tensor:
    """Re(conj(a) b)."""
    return a.real * b.real + a.imag * b.imag


def _with_mode_axis(array: Tensor, modes: bool, ndim: int) -> Tensor:
    return array.unsqueeze(-ndim - 1) if modes else array


def _amplitude(wavefront: Tensor, modes: bool, ndim: int) -> tuple[Tensor, Tensor]:
    """sqrt(sum over modes |z|^2) with the mode axis kept, and where it is positive; its gradient at 0 is 0."""
    power = _squared_modulus(wavefront)
    if modes:
        power = power.sum(dim=-ndim - 1, keepdim=True)
    bright = power != 0
    return torch.where(bright, torch.where(bright, power, 1).sqrt(), 0), bright


def reference_project_modulus(
    wavefront: Tensor, modulus: Tensor, measured: Tensor | None = None, *, modes: bool = False, ndim: int = 2
) -> tuple[Tensor, Tensor]:
    """Plain PyTorch version of :func:`cdipipe.ops.projection.project_modulus`."""
    amplitude, bright = _amplitude(wavefront, modes, ndim)
    b = _with_mode_axis(modulus, modes, ndim)
    trusted = (
        torch.ones_like(b, dtype=torch.bool) if measured is None else _with_mode_axis(measured, modes, ndim).bool()
    )
    count = wavefront.shape[-ndim - 1] if modes else 1
    scaled = wavefront * (b / torch.where(bright, amplitude, 1))
    dark_value = (b / math.sqrt(max(count, 1))).to(wavefront.dtype)
    projected = torch.where(trusted, torch.where(bright, scaled, dark_value), wavefront)
    difference = torch.where(trusted, (amplitude - b).abs(), 0)
    if modes:
        difference = difference.squeeze(-ndim - 1)
    return projected, difference.sum(dim=tuple(range(-ndim, 0)), dtype=torch.float64)


def reference_project_modulus_backward(
    wavefront: Tensor,
    modulus: Tensor,
    measured: Tensor | None,
    grad_projected: Tensor,
    grad_error: Tensor,
    *,
    modes: bool = False,
    ndim: int = 2,
) -> Tensor:
    """Gradient (dL/dRe + i dL/dIm) with respect to the wavefront.

    Measured pixels: ``(b/A) (g_m - z_m/A^2 Re sum_n conj(z_n) g_n) + grad_error sign(A - b) z_m/A``, 0 where A = 0.
    Others: ``g_m``.
    """
    amplitude, bright = _amplitude(wavefront, modes, ndim)
    b = _with_mode_axis(modulus, modes, ndim)
    inner = _real_inner(wavefront, grad_projected)
    if modes:
        inner = inner.sum(dim=-ndim - 1, keepdim=True)
    inverse = torch.where(bright, 1 / torch.where(bright, amplitude, 1), 0)
    weight = grad_error.reshape(grad_error.shape + (1,) * (ndim + modes)).to(amplitude.dtype)
    factor = b * inverse
    on_wave = inverse * (weight * torch.sign(amplitude - b) - factor * inverse * inner)
    grad = factor * grad_projected + on_wave * wavefront
    if measured is None:
        return grad
    return torch.where(_with_mode_axis(measured, modes, ndim).bool(), grad, grad_projected)


def modulus_gradient(
    wavefront: Tensor,
    modulus: Tensor,
    measured: Tensor | None,
    grad_projected: Tensor,
    grad_error: Tensor,
    *,
    modes: bool = False,
    ndim: int = 2,
) -> Tensor:
    """Gradient with respect to the modulus: ``Re sum_m conj(z_m) g_m / A - grad_error sign(A - b)`` where measured."""
    amplitude, bright = _amplitude(wavefront, modes, ndim)
    b = _with_mode_axis(modulus, modes, ndim)
    count = wavefront.shape[-ndim - 1] if modes else 1
    inverse = 1 / torch.where(bright, amplitude, 1)
    along = torch.where(
        bright, _real_inner(wavefront, grad_projected) * inverse, grad_projected.real / math.sqrt(count)
    )
    if modes:
        along = along.sum(dim=-ndim - 1, keepdim=True)
    weight = grad_error.reshape(grad_error.shape + (1,) * (ndim + modes)).to(amplitude.dtype)
    grad = along - weight * torch.sign(amplitude - b)
    if measured is not None:
        grad = torch.where(_with_mode_axis(measured, modes, ndim).bool(), grad, 0)
    return (grad.squeeze(-ndim - 1) if modes else grad).sum_to_size(modulus.shape)


def _sector(t: Tensor, phase_range_rad: tuple[float, float]) -> tuple[Tensor, Tensor]:
    """(is t inside the sector, nearest point of the sector for a t outside it); see METHODS 1, ``phase_range``."""
    phase_min, phase_max = phase_range_rad
    cos_min, sin_min, cos_max, sin_max = (f(x) for x in (phase_min, phase_max) for f in (math.cos, math.sin))
    after_min = cos_min * t.imag - sin_min * t.real >= 0
    before_max = t.real * sin_max - t.imag * cos_max >= 0
    inside = after_min | before_max if phase_max - phase_min > math.pi else after_min & before_max
    along_min = cos_min * t.real + sin_min * t.imag
    along_max = cos_max * t.real + sin_max * t.imag
    first = along_min >= along_max
    edge = torch.where(first, complex(cos_min, sin_min), complex(cos_max, sin_max)).to(t.dtype)
    return inside, torch.where(first, along_min, along_max).clamp(min=0) * edge


def _set_membership(t: Tensor, constraint: str, phase_range_rad: tuple[float, float]) -> tuple[Tensor, Tensor]:
    """(does t satisfy the constraint, P_S(t) without the support)."""
    if constraint == "support":
        return torch.ones_like(t.real, dtype=torch.bool), t
    if constraint == "real_nonneg":
        return t.real >= 0, torch.complex(t.real.clamp(min=0), torch.zeros_like(t.real))
    if constraint == "re_nonneg":
        return t.real >= 0, torch.complex(t.real.clamp(min=0), t.imag)
    if constraint == "quadrant":
        return (t.real >= 0) & (t.imag >= 0), torch.complex(t.real.clamp(min=0), t.imag.clamp(min=0))
    return _sector(t, phase_range_rad)


def reference_update_object(
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
    """Plain PyTorch version of :func:`cdipipe.ops.projection.update_object`."""
    if constraint == "real_nonneg":
        exit_wave, projected = (torch.complex(x.real, torch.zeros_like(x.real)) for x in (exit_wave, projected))
    t = projected + g * (projected - exit_wave) if g else projected
    satisfied, nearest = _set_membership(t, constraint, phase_range_rad)
    inside = support.bool()
    other = b * projected + c * torch.where(inside, nearest, 0)
    if a:
        other = other + a * exit_wave
    return torch.where(inside & satisfied, projected, other)


def _set_derivative(t: Tensor, grad: Tensor, constraint: str, phase_range_rad: tuple[float, float]) -> Tensor:
    """Derivative of P_S at a t outside the set, applied to ``grad`` (symmetric as a real matrix)."""
    if constraint == "support":
        return grad
    if constraint == "real_nonneg":
        return torch.zeros_like(grad)
    if constraint == "re_nonneg":
        return torch.complex(torch.zeros_like(grad.real), grad.imag)
    if constraint == "quadrant":
        return torch.complex(grad.real * (t.real >= 0), grad.imag * (t.imag >= 0))
    nearest = _sector(t, phase_range_rad)[1]
    length = torch.where(nearest == 0, 1, nearest.abs())
    edge = nearest / length
    return edge * _real_inner(edge, grad)


def reference_update_object_backward(
    exit_wave: Tensor,
    projected: Tensor,
    support: Tensor,
    grad: Tensor,
    constraint: str,
    *,
    a: float,
    b: float,
    c: float,
    g: float,
    phase_range_rad: tuple[float, float] = HALF_TURN_RANGE,
) -> tuple[Tensor, Tensor]:
    """Gradients with respect to ``exit_wave`` and ``projected``: the update is linear on each branch."""
    if constraint == "real_nonneg":
        exit_wave, projected, grad = (
            torch.complex(x.real, torch.zeros_like(x.real)) for x in (exit_wave, projected, grad)
        )
    t = projected + g * (projected - exit_wave)
    inside = support.bool()
    keep = inside & _set_membership(t, constraint, phase_range_rad)[0]
    through_set = torch.where(inside, _set_derivative(t, grad, constraint, phase_range_rad), 0)
    to_exit_wave = torch.where(keep, 0, a * grad - c * g * through_set)
    to_projected = torch.where(keep, grad, b * grad + c * (1 + g) * through_set)
    return to_exit_wave, to_projected
