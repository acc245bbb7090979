"""A pattern seen eight ways: turned and mirrored, so that a network's errors are not always the same ones."""

from __future__ import annotations

from collections.abc import Callable

import torch

from cdipipe.networks.losses.labels import twin

ROUNDS = 2
"""Each round lays the views over the mean of the round before, the first over the upright view."""


def turn(arrays: torch.Tensor, number: int) -> torch.Tensor:
    """Centred squares (B, N, N) by one of the 8 symmetries about ``N // 2``: transposed (1), reversed (2 and 4)."""
    if number & 1:
        arrays = arrays.transpose(-1, -2)
    return _reversed(arrays, number)


def turn_back(arrays: torch.Tensor, number: int) -> torch.Tensor:
    """Undo :func:`turn`."""
    arrays = _reversed(arrays, number)
    return arrays.transpose(-1, -2) if number & 1 else arrays


def _reversed(arrays: torch.Tensor, number: int) -> torch.Tensor:
    axes = [axis for bit, axis in ((2, -1), (4, -2)) if number & bit]
    return torch.roll(torch.flip(arrays, axes), [1 - arrays.shape[-1] % 2] * len(axes), axes) if axes else arrays


def predict_views(apply: Callable[[torch.Tensor], torch.Tensor], patterns: torch.Tensor, views: int) -> torch.Tensor:
    """Mean over several views of what a network makes of each pattern, laid over one another by twin and phase.

    An object that is turned has a pattern that is turned, so each view is an estimate of its own.

    Parameters
    ----------
    apply : (B, N, N) patterns to (B, N, N) complex64 objects, of which any twin and phase is as good; called once
    views : 1 to 8
    """
    together = apply(torch.cat([turn(patterns, number) for number in range(views)]))
    objects = [turn_back(part, number) for number, part in enumerate(together.split(len(patterns)))]
    mean = objects[0]
    for _ in range(ROUNDS if views > 1 else 0):
        mean = sum(_laid_over(mean, view) for view in objects) / views
    return mean


def _laid_over(reference: torch.Tensor, moving: torch.Tensor) -> torch.Tensor:
    """The better of both twins of each object, with the phase that fits best."""
    overlaps, twins = [], [moving, twin(moving, 2)]
    for candidate in twins:
        overlaps.append((candidate.conj() * reference).sum((-2, -1), keepdim=True))
    is_twin = overlaps[1].abs() > overlaps[0].abs()
    overlap = torch.where(is_twin, overlaps[1], overlaps[0])
    return torch.where(is_twin, twins[1], twins[0]) * torch.polar(torch.ones_like(overlap.abs()), overlap.angle())
