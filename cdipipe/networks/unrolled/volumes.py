"""Measured volumes of any size as the small ones that a network has learned from, and its objects back in their grid.

A pattern that is sampled finer than its object needs is told by fewer samples without loss: those of the transform of
its autocorrelation, cut where it ends. A pattern of a larger object is cropped, which makes the voxels larger. The
place of the peak, to parts of a pixel, is a phase ramp of the object, and no task for the network.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cdipipe.errors import InputError
from cdipipe.io.describe import estimate_object_extent
from cdipipe.networks.layers.complex_heads import in_grid
from cdipipe.networks.losses.labels import centre_of_mass, phase_ramp
from cdipipe.networks.predictor import fill_gaps
from cdipipe.optics import fourier
from cdipipe.optics.grid import central_slices

INSTEAD = "-m auto, or a recipe with sequence 3*(20*ER+180*HIO)+20*ER and restarts 5"
"""Where the network does not help."""
LARGEST = 0.75
"""Of the box: what the extent of an object may take."""
REACH = 1.6
"""Times the extent, which is that of the brighter lags: so far autocorrelations reach."""
FILL_STEPS = 8
"""Conjugate gradients on missing photons; many more let noise grow."""


@dataclass(frozen=True)
class Window:
    """What of a measured volume the network sees.

    Parameters
    ----------
    grid : of the measured pattern
    crop : voxels per axis that are kept, even; as many make the network's ``size``
    place : whole voxels from the centre of the pattern to that of what is kept
    ramp : the rest of the way to the peak, voxels
    size, box : of the network, voxels per axis
    """

    grid: tuple[int, ...]
    crop: tuple[int, ...]
    place: tuple[int, ...]
    ramp: tuple[float, ...]
    size: int
    box: int

    def shrink(self, counts: Tensor, measured: Tensor) -> tuple[Tensor, Tensor]:
        """(size, size, size) photons, of the same sum as those that are kept, and what of it is measured."""
        cube = (self.size,) * 3
        kept = counts[self._slices()]
        lags = fourier.inverse(kept[None].to(torch.complex64), 3)
        lags = self._turned(lags, -1)
        small = tuple(min(crop, self.size) for crop in self.crop)
        lags = in_grid(lags[(..., *central_slices(self.crop, small))], cube)
        photons = fourier.forward(lags, 3)[0].real.clamp(min=0)
        photons = photons * (kept.sum() / photons.sum().clamp(min=1e-12))
        if bool(measured.all()):
            return photons, torch.ones(cube, dtype=torch.bool, device=counts.device)
        known = measured
        for axis, (side, crop, place, ramp) in enumerate(zip(self.grid, self.crop, self.place, self.ramp, strict=True)):
            steps = (torch.arange(self.size, device=counts.device) - self.size // 2) * (crop / self.size)
            index = (steps + ramp + place + side // 2).round().long().clamp(0, side - 1)
            known = known.index_select(axis, index)
        return photons, known

    def enlarge(self, boxes: Tensor, supports: Tensor) -> tuple[Tensor, Tensor]:
        """An object (box, box, box) complex and its support in the grid of the measurement."""
        fitting = tuple(min(self.box, crop) for crop in self.crop)
        whole = in_grid(boxes[central_slices(boxes.shape, fitting)][None], self.crop)
        whole = self._turned(whole, 1)
        if self.crop != self.grid:
            whole = fourier.inverse(in_grid(fourier.forward(whole, 3), self.grid), 3)
            whole = whole * phase_ramp([whole.real.new_tensor([float(p)]) for p in self.place], self.grid)
        inside = supports
        for axis, (side, crop) in enumerate(zip(self.grid, self.crop, strict=True)):
            steps = ((torch.arange(side, device=supports.device) - side // 2) * (crop / side)).round().long()
            far = (steps < -(self.box // 2)) | (steps >= self.box - self.box // 2)
            inside = inside.index_select(axis, (steps + self.box // 2).clamp(0, self.box - 1))
            inside = inside & ~far.reshape([-1 if a == axis else 1 for a in range(3)])
        return whole[0], inside

    def _slices(self) -> tuple[slice, ...]:
        starts = [n // 2 - c // 2 + p for n, c, p in zip(self.grid, self.crop, self.place, strict=True)]
        return tuple(slice(start, start + c) for start, c in zip(starts, self.crop, strict=True))

    def _turned(self, volumes: Tensor, sign: int) -> Tensor:
        """(1, *crop) with the ramp put on, or taken off."""
        return volumes * phase_ramp([volumes.real.new_tensor([sign * r]) for r in self.ramp], self.crop)


def fill(counts: Tensor, measured: Tensor) -> Tensor:
    """A pattern (D, H, W) whose gaps hold what makes its autocorrelation end where the object's does.

    Gaps are filled from their rims inwards, which tells how wide the autocorrelation is; then conjugate gradients on
    the missing photons alone lower its squares beyond that (Papoulis, IEEE Trans. Circuits Syst. 22, 735 (1975),
    doi:10.1109/TCS.1975.1084118, as least squares). What the end does not tell stays as it was: the steps are few.
    """
    if bool(measured.all()) or not bool(measured.any()):
        return counts
    known, filled = measured, counts
    while not bool(known.all()):
        filled = fill_gaps(filled[None], known[None])[0]
        known = torch.nn.functional.max_pool3d(known[None].float(), 3, 1, 1)[0] > 0
    extents = _extents(filled)
    outer, gap = torch.zeros_like(measured), fourier.to_corner(~measured, 3)
    for axis, (side, extent) in enumerate(zip(counts.shape, extents, strict=True)):
        lags = (torch.arange(side, device=counts.device) - side // 2).abs()
        beyond = lags > (side if extent is None else REACH * extent + 1)
        outer |= beyond.reshape([-1 if a == axis else 1 for a in range(3)])
    outer = fourier.to_corner(outer, 3)

    def lower(missing: Tensor) -> Tensor:
        lags = fourier.inverse_corner(missing.to(torch.complex64), 3) * outer
        return torch.where(gap, fourier.forward_corner(lags, 3).real, 0)

    found = fourier.to_corner(filled, 3)
    rest = -lower(found)
    step, size = rest.clone(), rest.square().sum()
    for _ in range(FILL_STEPS):
        moved = lower(step)
        share = size / (step * moved).sum().clamp(min=1e-30)
        found, rest = found + share * step, rest - share * moved
        before, size = size, rest.square().sum()
        step = rest + size / before.clamp(min=1e-30) * step
    return torch.where(measured, counts, fourier.to_centre(found, 3).clamp(min=0))


def _extents(counts: Tensor) -> tuple[float | None, ...]:
    return estimate_object_extent(counts.cpu().numpy(), np.ones(tuple(counts.shape), bool))


def plan_window(counts: Tensor, size: int, box: int) -> Window:
    """The window for a pattern (D, H, W), photons without gaps, by the extent of its autocorrelation.

    Raises
    ------
    InputError   an object that takes more than half the array
    """
    grid, crop, extents = tuple(counts.shape), [], _extents(counts)
    if full := [axis for axis, extent in enumerate(extents) if extent is None]:
        raise InputError(
            f"unrolled: the object takes more than half the array along axis {', '.join(map(str, full))}, or the "
            f"pattern is noise; the network has learned of smaller ones: let iterations find it ({INSTEAD})"
        )
    for side, extent in zip(grid, extents, strict=True):
        wanted = int(side * LARGEST * box / extent)
        crop.append(max(2, min(wanted, side) // 2 * 2))
    peak = [float(place) for place in centre_of_mass(counts[None], 3)]
    room = [
        (side // 2 - kept // 2, side - side // 2 - (kept - kept // 2)) for side, kept in zip(grid, crop, strict=True)
    ]
    place = [max(-low, min(round(p), high)) for p, (low, high) in zip(peak, room, strict=True)]
    ramp = tuple(p - whole for p, whole in zip(peak, place, strict=True))
    return Window(grid, tuple(crop), tuple(place), ramp, size, box)
