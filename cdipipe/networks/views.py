"""A pattern seen many ways: turned and mirrored, so that a network's errors are not always the same ones."""

from __future__ import annotations

from collections.abc import Callable

import torch

from cdipipe.networks.losses.labels import turn_cube, turn_cube_back, twin

ROUNDS = 2
"""Each round lays the views over the mean of the round before, the first over the upright view."""


def turn(arrays: torch.Tensor, number: int) -> torch.Tensor:
    """Centred squares (B, N, N) by one of the 8 symmetries about ``N // 2``: transposed (1), reversed (2 and 4).

    Cubes (B, N, N, N) by one of their 48, see :func:`turn_cube`.
    """
    if arrays.ndim == 4:
        return turn_cube(arrays, number)
    if number & 1:
        arrays = arrays.transpose(-1, -2)
    return _reversed(arrays, number)


def turn_back(arrays: torch.Tensor, number: int) -> torch.Tensor:
    """Undo :func:`turn`."""
    if arrays.ndim == 4:
        return turn_cube_back(arrays, number)
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
    apply : patterns (B, N, N) or (B, N, N, N) to complex64 objects, of which any twin and phase is as good; called once
    views : 1 to 8, of volumes 1 to 48
    """
    return mean_of_views(views_of(apply, patterns, views))


def views_of(apply: Callable[[torch.Tensor], torch.Tensor], patterns: torch.Tensor, views: int) -> list[torch.Tensor]:
    """What a network makes of each view, turned back; see :func:`predict_views`."""
    together = apply(torch.cat([turn(patterns, number) for number in range(views)]))
    return [turn_back(part, number) for number, part in enumerate(together.split(len(patterns)))]


def mean_of_views(objects: list[torch.Tensor]) -> torch.Tensor:
    """Mean of estimates of the same objects, laid over one another by twin and phase."""
    mean = objects[0]
    for _ in range(ROUNDS if len(objects) > 1 else 0):
        mean = sum(_laid_over(mean, view) for view in objects) / len(objects)
    return mean


def agreement(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Correlations (B,) of objects in their places, at the better twin and phase."""
    axes = tuple(range(1, one.ndim))
    sizes = (_light(one, axes) * _light(other, axes)).sqrt().clamp(min=1e-20)
    return (one.conj() * _laid_over(one, other)).sum(axes).abs() / sizes


def _light(objects: torch.Tensor, axes: tuple[int, ...]) -> torch.Tensor:
    return objects.abs().square().sum(axes)


def _laid_over(reference: torch.Tensor, moving: torch.Tensor) -> torch.Tensor:
    """The better of both twins of each object, with the phase that fits best."""
    axes = tuple(range(1, moving.ndim))
    overlaps, twins = [], [moving, twin(moving, len(axes))]
    for candidate in twins:
        overlaps.append((candidate.conj() * reference).sum(axes, keepdim=True))
    is_twin = overlaps[1].abs() > overlaps[0].abs()
    overlap = torch.where(is_twin, overlaps[1], overlaps[0])
    return torch.where(is_twin, twins[1], twins[0]) * torch.polar(torch.ones_like(overlap.abs()), overlap.angle())
