"""Total variation: the sum of the lengths of an object's gradient, its derivative, and its proximal step.

Isotropic unless it says otherwise: the length of a gradient is that over all axes, real and imaginary part together. A
smoothing d >= 0 makes sqrt(|D u|^2 + d^2) of it: differences well below count by their square, and the slope is finite.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Edge = Literal["zero", "repeat"]


def length(steps: list[Tensor], smoothing: float) -> Tensor:
    """sqrt(sum_axes |D u|^2 + d^2) of complex differences of one shape; real, differentiable.

    Parameters
    ----------
    steps : complex differences D u, one for each axis
    smoothing : d, in the unit of u
    """
    total = smoothing**2
    for step in steps:
        total = total + torch.view_as_real(step).square().sum(-1)
    return total.sqrt()


def total_variation(objects: Tensor, smoothing: float, edge: Edge = "zero") -> Tensor:
    """sum (sqrt(|D u|^2 + d^2) - d) of each object of a batch, (B,); 0 for an even object; differentiable.

    Parameters
    ----------
    objects : (B, *grid) complex
    smoothing : d, in units of the objects
    edge : what lies beyond the array: ``zero``, or ``repeat`` for its own edge
    """
    return (length(_steps(objects, edge), smoothing) - smoothing).flatten(1).sum(1)


def _steps(objects: Tensor, edge: Edge) -> list[Tensor]:
    """Forward differences along each axis of a batch; with zeros around it, also those into the array."""
    axes = range(1, objects.ndim)
    if edge == "repeat":
        return [objects.diff(dim=axis, append=objects.narrow(axis, -1, 1)) for axis in axes]
    padded = torch.nn.functional.pad(objects, (1, 1) * len(axes))
    inner = (slice(None),) + (slice(0, -1),) * len(axes)
    ahead = [tuple(slice(1, None) if a == axis else part for a, part in enumerate(inner)) for axis in axes]
    return [padded[part] - padded[inner] for part in ahead]


def anisotropic_variation(arrays: Tensor, axes: tuple[int, ...]) -> Tensor:
    """Sum of |D u| of real and imaginary part apart, along each of some axes; differentiable.

    Parameters
    ----------
    arrays : complex u, any shape
    axes : along which differences are taken, not negative: a last axis of two holds the parts

    Returns
    -------
    scalar tensor in the unit of u
    """
    parts = torch.view_as_real(arrays)
    return sum(parts.diff(dim=axis).abs().sum() for axis in axes)


def periodic_variation(exit_wave: Tensor, ndim: int, smoothing: Tensor) -> tuple[Tensor, Tensor]:
    """sum sqrt(sum_axes |D u|^2 + d^2) of a complex batch on a periodic grid, (B,) float64; and its gradient.

    Parameters
    ----------
    exit_wave : (B, *grid) complex
    smoothing : d, (B, 1, ...) real
    ndim : number of grid axes

    Returns
    -------
    variation : (B,) float64
    gradient : (B, *grid) complex
    """
    axes = range(-ndim, 0)
    differences = [exit_wave.roll(-1, axis) - exit_wave for axis in axes]
    lengths = sum((d.abs().square() for d in differences), smoothing.square()).sqrt_()
    gradient = torch.zeros_like(exit_wave)
    for axis, difference in zip(axes, differences, strict=True):
        difference /= lengths
        gradient += difference.roll(1, axis) - difference
    return lengths.flatten(1).sum(1, dtype=torch.float64), gradient


def denoise_movie(movie: Tensor, weight_space: float, weight_time: float, iterations: int) -> Tensor:
    """argmin_v 1/2 |v - u|^2 + weight_space TV_space(v) + weight_time TV_time(v) by projected gradient on the dual.

    Parameters
    ----------
    movie : (T, H, W) complex; periodic in space, ends in time
    weight_space, weight_time : in the unit of the movie; both 0 leave it as it is
    iterations : of the projected gradient

    Returns
    -------
    (T, H, W) complex

    References
    ----------
    Chambolle, J. Math. Imaging Vis. 20, 89 (2004), doi:10.1023/B:JMIV.0000011325.36760.1e
    """
    if not weight_space and not weight_time:
        return movie
    dual = torch.zeros((3, *movie.shape), dtype=movie.dtype, device=movie.device)
    for _ in range(iterations):
        dual += _gradient(movie - _adjoint(dual)) / 12  # 12 bounds the square of the gradient's norm
        lengths = dual[1:].abs().square().sum(0).sqrt_()
        dual[1:] *= (weight_space / lengths.clamp(min=max(weight_space, 1e-20))).clamp(max=1)
        dual[0] *= (weight_time / dual[0].abs().clamp(min=max(weight_time, 1e-20))).clamp(max=1)
    return movie - _adjoint(dual)


def _gradient(movie: Tensor) -> Tensor:
    forward = torch.zeros_like(movie)
    forward[:-1] = movie[1:] - movie[:-1]
    return torch.stack([forward, *(movie.roll(-1, axis) - movie for axis in (1, 2))])


def _adjoint(dual: Tensor) -> Tensor:
    time = torch.zeros_like(dual[0])
    time[:-1] -= dual[0, :-1]
    time[1:] += dual[0, :-1]
    return time + sum(dual[axis].roll(1, axis) - dual[axis] for axis in (1, 2))
