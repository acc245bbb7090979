"""Undo shift, twin and phase of a whole batch at once, on arrays in FFT order."""

from __future__ import annotations

import math

import torch

from cdipipe.optics import fourier

PEAK_ROUNDS = 3
"""A parabola along each axis misses a peak that lies askew; each round leaves a fraction of the last one's error."""


def align_batch(reference, batch, freedom, ndim):
    """Lay every object of a batch over the reference, as far as the pattern leaves its place open.

    Parameters
    ----------
    reference : (*grid) complex64
    batch : (B, *grid) complex64
    freedom : ``shift`` (and twin and phase), ``phase`` or ``none``, see ``ForwardModel.freedom``
    """
    if freedom == "none":
        return batch
    if freedom == "shift":
        batch = _align_shift(reference, batch, ndim)
    overlap = (batch.conj() * reference).flatten(1).sum(1)
    return batch * torch.exp(1j * overlap.angle()).reshape(-1, *[1] * ndim)


def _align_shift(reference, batch, ndim):
    """The better of object and twin, each shifted to the peak of its correlation."""
    target = fourier.forward_corner(reference, ndim)
    waves = fourier.forward_corner(batch, ndim)
    candidates = torch.cat([waves, waves.conj()])  # conj(F) belongs to the twin about index 0
    for _ in range(PEAK_ROUNDS):
        surface = fourier.inverse_corner(target * candidates.conj(), ndim).abs()
        candidates = candidates * _shift_factor(_peak_shifts(surface, ndim), batch.shape[-ndim:])
    overlap = (candidates.conj() * target).flatten(1).sum(1).abs()
    twin = (overlap[len(batch) :] > overlap[: len(batch)]).long()
    item = torch.arange(len(batch), device=batch.device)
    return fourier.inverse_corner(candidates[item + len(batch) * twin], ndim)


def _shift_factor(shifts, shape):
    """Phase ramps in Fourier space that move each object by its own (B,) shift per axis."""
    ndim, phase = len(shape), 0
    for frequency, size, shift in zip(fourier.frequencies_corner(shape, shifts[0].device), shape, shifts, strict=True):
        phase = phase + frequency * (2 * math.pi / size) * shift.reshape(-1, *[1] * ndim)
    return torch.exp(-1j * phase)


def _peak_shifts(surface, ndim):
    """Peak of each correlation along every axis, to a fraction of a pixel by a parabola; list of (B,)."""
    sizes = surface.shape[-ndim:]
    place = surface.flatten(1).argmax(1)
    index = list(torch.unravel_index(place, sizes))
    item = torch.arange(len(surface), device=surface.device)
    shifts = []
    for axis, size in enumerate(sizes):
        before, here, after = (
            surface[(item, *index[:axis], (index[axis] + step) % size, *index[axis + 1 :])] for step in (-1, 0, 1)
        )
        bend = (before - 2 * here + after).clamp(max=-1e-20)
        shifts.append(index[axis] + (0.5 * (before - after) / bend).clamp(-0.5, 0.5))
    return shifts


def centre_batch(waves, supports, ndim):
    """Roll every object, with its support, so that its centre of intensity is nearest to index 0."""
    power = waves.abs().square()
    waves, supports = waves.clone(), supports.clone()
    axes = range(-ndim, 0)
    moves = []
    for axis in axes:
        profile = power.sum([other for other in axes if other != axis])
        size = profile.shape[-1]
        turn = torch.polar(torch.ones(size), 2 * math.pi / size * torch.arange(size)).to(profile.device)
        angle = (profile * turn).sum(-1).angle()
        moves.append((-angle * size / (2 * math.pi)).round().long())
    for item, shift in enumerate(torch.stack(moves, 1).tolist()):
        if any(shift):
            waves[item] = waves[item].roll(shift, list(axes))
            supports[item] = supports[item].roll(shift, list(axes))
    return waves, supports
