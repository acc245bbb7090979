"""Runs laid over the best one in batches on their device, as :func:`cdipipe.metrics.align.lay_over` does one."""

from __future__ import annotations

import torch
from torch import Tensor

from cdipipe.metrics.align import COARSE_STEP_PX
from cdipipe.optics import fourier

FINE_STEP_PX = 0.01
"""To which a shift is found."""
BYTES_PER_PIXEL = 160
"""What one run needs on the way, about."""
BATCH_BYTES = 2**31


def lay_over_many(best: Tensor, others: Tensor, freedom: str) -> Tensor:
    """Objects where the best one lies, as far as the pattern leaves that open.

    Parameters
    ----------
    best : (*grid) complex64, centred
    others : (B, *grid) complex64, centred
    freedom : ``shift`` (and twin and phase), ``phase`` or ``none``

    Returns
    -------
    (B, *grid) complex64
    """
    if freedom == "none":
        return others
    count = max(1, BATCH_BYTES // (BYTES_PER_PIXEL * best.numel()))
    laid = [_shifted_over(best, part) if freedom == "shift" else part for part in others.split(count)]
    return torch.cat([_with_phase_of(best, part) for part in laid])


def _with_phase_of(best: Tensor, others: Tensor) -> Tensor:
    overlap = (others.conj() * best).flatten(1).sum(1)
    return others * torch.polar(torch.ones_like(overlap.real), overlap.angle()).reshape(-1, *(1,) * best.ndim)


def _shifted_over(best: Tensor, others: Tensor) -> Tensor:
    """Each object or its twin, whichever correlates better, at the shift of greatest correlation."""
    ndim, grid = best.ndim, best.shape
    target, spectra = fourier.forward_corner(best, ndim), fourier.forward_corner(others, ndim)
    shifts, heights = _peaks(target * spectra.conj())
    mirrored, mirrored_heights = _peaks(target * spectra)
    # conj(F) belongs to the twin about index 0; the twin about N // 2 lies 2 (N // 2) further
    back = mirrored - torch.tensor([2 * (n // 2) for n in grid], dtype=torch.float64).to(best.device)
    is_twin = mirrored_heights > heights
    chosen = torch.where(is_twin[:, None], back, shifts)
    axes = tuple(range(1, ndim + 1))
    twins = others.conj().flip(axes).roll([1 - size % 2 for size in grid], axes)
    beside = is_twin.reshape(-1, *(1,) * ndim)
    return _moved(torch.where(beside, twins, others), chosen)


def _peaks(cross: Tensor) -> tuple[Tensor, Tensor]:
    """Places (B, ndim) float64 and heights (B,) of the greatest moduli of the inverse transforms of ``cross``."""
    grid = cross.shape[1:]
    best = fourier.inverse_corner(cross, len(grid)).abs().flatten(1).argmax(1)
    places = []
    for size in reversed(grid):
        places.append(best % size)
        best = best // size
    shifts = torch.stack([_wrapped(p.double(), n) for p, n in zip(reversed(places), grid, strict=True)], 1)
    cross = cross.to(torch.complex128)
    shifts, _ = _refine(cross, shifts, 0.7, COARSE_STEP_PX)
    shifts, heights = _refine(cross, shifts, COARSE_STEP_PX, FINE_STEP_PX)
    return (shifts / FINE_STEP_PX).round() * FINE_STEP_PX, heights


def _refine(cross: Tensor, shifts: Tensor, half_width_px: float, step_px: float) -> tuple[Tensor, Tensor]:
    """Greatest modulus of the inverse DFTs on a fine grid around the shifts, axis after axis."""
    count = round(half_width_px / step_px)
    offsets = torch.arange(-count, count + 1, device=cross.device, dtype=torch.float64) * step_px
    window = cross
    for axis, size in enumerate(cross.shape[1:]):
        frequency = torch.fft.fftfreq(size, device=cross.device, dtype=torch.float64)
        turns = 2 * torch.pi * frequency[:, None] * (shifts[:, axis, None] + offsets)[:, None]
        kernel = torch.polar(torch.ones_like(turns), turns)
        window = torch.movedim(window, 1, -1)  # the axis to transform is the first one, and goes to the back
        sizes = window.shape[1:-1]
        window = (window.reshape(len(cross), -1, size) @ kernel).reshape(len(cross), *sizes, len(offsets))
    heights, best = window.abs().flatten(1).max(1)
    found = []
    for _ in cross.shape[1:]:
        found.append(offsets[best % len(offsets)])
        best = best // len(offsets)
    return shifts + torch.stack(found[::-1], 1), heights


def _moved(objects: Tensor, shifts: Tensor) -> Tensor:
    """Each object (B, *grid) shifted by its own (B, ndim) pixels, with phase ramps in Fourier space."""
    ndim = shifts.shape[1]
    turns = torch.zeros((), dtype=torch.float64, device=objects.device)
    for axis, size in enumerate(objects.shape[1:]):
        frequency = torch.fft.fftfreq(size, device=objects.device, dtype=torch.float64)
        along = [1] * (ndim + 1)
        along[axis + 1] = size
        turns = turns - 2 * torch.pi * frequency.reshape(along) * shifts[:, axis].reshape(-1, *(1,) * ndim)
    ramp = torch.polar(torch.ones_like(turns), turns).to(objects.dtype)
    return fourier.inverse_corner(fourier.forward_corner(objects, ndim) * ramp, ndim)


def _wrapped(shift: Tensor, size: int) -> Tensor:
    return shift - size * (shift / size + 0.5).floor()
