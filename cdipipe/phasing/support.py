"""First supports and shrink-wrap, on arrays in FFT order."""

from __future__ import annotations

import numpy as np
import torch

from cdipipe.errors import InputError
from cdipipe.optics import fourier


def autocorrelation_corner(intensity, measured, ndim):
    """|F^-1 (I M)| with its peak at index 0; unmeasured pixels count as zero."""
    filled = torch.where(measured, intensity.clamp(min=0), torch.zeros((), device=intensity.device))
    return fourier.inverse_corner(filled, ndim).abs()


def start_support(problem, settings):
    """The support a reconstruction begins with.

    Parameters
    ----------
    problem : Problem
    settings : StartSupport
        ``autocorrelation``: where the autocorrelation exceeds the threshold (twice the object's extent);
        ``box``: a centred box of half that extent; ``full``: a centred box of half the array. ``half_side_px`` comes
        before all of them.

    Returns
    -------
    (*grid) bool, FFT order; what the measurement tells of its object's support comes first

    Raises
    ------
    InputError   beside a known static region, whose pattern tells nothing of the sample's extent, none is known

    References
    ----------
    Marchesini et al., Phys. Rev. B 68, 140101 (2003), doi:10.1103/PhysRevB.68.140101
    """
    shape = problem.shape
    if problem.object_support is not None:
        check_support(problem.object_support, shape)
        return problem.object_support
    if problem.model.static_region is not None:
        raise InputError("the measurement has a static region but does not tell the sample's support: give --support")
    if settings.half_side_px is not None:
        half_sides = [min(settings.half_side_px, max(size // 4, 1)) for size in shape]
        return box_support_corner(half_sides, shape, problem.device)
    if settings.kind == "full":
        return box_support_corner([max(size // 4, 1) for size in shape], shape, problem.device)
    correlation = autocorrelation_corner(problem.intensity, problem.measured, problem.ndim)
    above = correlation > settings.threshold * correlation.max()
    if settings.kind == "autocorrelation":
        return limit_support(above)
    half_sides = [
        min(max(round(settings.margin * extent / 2), 1), max(size // 4, 1))
        for extent, size in zip(extents_of(above), shape, strict=True)
    ]
    return box_support_corner(half_sides, shape, problem.device)


def extents_of(above) -> list[float]:
    """The object's full extent on each axis in pixels: the largest lag at which its autocorrelation is above a level.

    Parameters
    ----------
    above : (*grid) bool, FFT order
    """
    found = []
    for axis, size in enumerate(above.shape):
        others = tuple(a for a in range(above.ndim) if a != axis)
        lags = fourier.frequencies_corner((size,), above.device)[0].abs()
        found.append(float((lags * above.any(dim=others)).max()))
    return found


def box_support_corner(half_sides, shape, device):
    """A box of ``2 h + 1`` pixels per axis around index 0, FFT order."""
    inside = torch.ones(shape, dtype=torch.bool, device=device)
    for lags, half in zip(fourier.frequencies_corner(shape, device), half_sides, strict=True):
        inside = inside & (lags.abs() <= half)
    return inside


def limit_support(support):
    """Leave only the part of a first support that lies within half the array on each axis."""
    half = [max(size // 4, 1) for size in support.shape]
    return support & box_support_corner(half, support.shape, support.device)


def shrink_wrap(projected, support, settings, count, progress, ndim):
    """New supports from the blurred modulus of P_M u.

    An item whose new support would be empty, or fill more than half the array, keeps its old one.

    Parameters
    ----------
    projected : (B, *grid) complex64
    support : (B, *grid) bool
    settings : ShrinkWrap
    count : updates before this one; the blur is ``sigma_start_px * decay**count``, not below ``sigma_end_px``
    progress : how much of the recipe is done, 0 to 1; moves the area from its first to its last value

    References
    ----------
    Marchesini et al., Phys. Rev. B 68, 140101 (2003), doi:10.1103/PhysRevB.68.140101
    """
    sigma_px = max(settings.sigma_end_px, settings.sigma_start_px * settings.decay**count)
    blurred = fourier.gaussian_blur_corner(_modulus(projected), sigma_px, ndim)
    if settings.area:
        first, last = settings.area
        pixels = max(round((first + (last - first) * progress) * blurred[0].numel()), 1)
        return blurred >= _level_of(blurred.flatten(1), pixels).reshape((-1,) + (1,) * ndim)
    new = blurred > settings.threshold * blurred.amax(dim=tuple(range(-ndim, 0)), keepdim=True)
    filled = new.flatten(1).sum(1)
    fits = (filled > 0) & (2 * filled <= new[0].numel())
    # on a GPU to ask would be to wait for it
    return new if fits.is_cpu and fits.all() else torch.where(fits.reshape((-1,) + (1,) * ndim), new, support)


def _modulus(wave):
    """|z|, in a fourth of the time that ``abs`` takes on a CPU, which looks after overflow."""
    return wave.real.square().add_(wave.imag.square()).sqrt_()


def _level_of(values, pixels):
    """The least of the so many largest of each row, (B,); a selection, since sorting costs more than an iteration."""
    if values.device.type != "cpu":
        return values.topk(pixels).values[:, -1]
    place = values.shape[1] - pixels
    return torch.from_numpy(np.partition(values.numpy(), place, axis=1)[:, place].copy())


def check_support(support, shape):
    """Raise InputError unless a given support fits the pattern and is neither empty nor everything."""
    if tuple(support.shape) != tuple(shape):
        raise InputError(f"support of shape {tuple(support.shape)} does not fit a pattern of shape {tuple(shape)}")
    if not support.any() or support.all():
        kind = "empty" if not support.any() else "the whole array"
        raise InputError(f"the support is {kind}; it must leave some of the array outside and some inside")


def one_support(support, problem):
    """A given support (*grid), or of every frame (T, *grid), as one for all frames: (*grid) bool in FFT order."""
    centred = torch.from_numpy(support).reshape(-1, *problem.shape).any(0)
    return fourier.to_corner(centred.to(problem.device), problem.ndim)
