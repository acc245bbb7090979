"""Labels that a network can learn: of all the objects behind one pattern, always the same one.

A pattern fixes its object up to a shift, the twin conj(u(-x)) and a global phase. A network that must guess which of
them a label happens to be learns their mean, which is none of them.
"""

from __future__ import annotations

import itertools

import torch

from cdipipe.optics import fourier


def _axes(ndim: int) -> tuple[int, ...]:
    return tuple(range(-ndim, 0))


def coordinates(shape: tuple[int, ...], device=None) -> list[torch.Tensor]:
    """Pixel coordinates from the centre ``N // 2`` of each axis, shaped to broadcast over ``shape``."""
    axes = []
    for axis, size in enumerate(shape):
        view = [1] * len(shape)
        view[axis] = size
        axes.append((torch.arange(size, device=device, dtype=torch.float32) - size // 2).reshape(view))
    return axes


def twin(objects: torch.Tensor, ndim: int) -> torch.Tensor:
    """conj(u(-x)) about the centre ``N // 2``, of a batch."""
    shape = objects.shape[-ndim:]
    flipped = torch.flip(objects, _axes(ndim)).conj().resolve_conj()
    return torch.roll(flipped, [1 - size % 2 for size in shape], _axes(ndim))


def centre_of_mass(weights: torch.Tensor, ndim: int) -> list[torch.Tensor]:
    """Centre of mass of a batch of real arrays, from ``N // 2``: one (B,) tensor per axis, in pixels."""
    total = weights.sum(_axes(ndim)).clamp(min=torch.finfo(weights.dtype).tiny)
    axes = coordinates(weights.shape[-ndim:], weights.device)
    return [(weights * axis).sum(_axes(ndim)) / total for axis in axes]


def centre_objects(objects: torch.Tensor, ndim: int, subpixel: bool = True) -> torch.Tensor:
    """Objects shifted (periodically) so that the centre of mass of their modulus is at ``N // 2``.

    Parameters
    ----------
    objects : (B, *grid) complex64, centred
    subpixel : False: by whole pixels, which leaves the rest of the shift to chance
    """
    shifts = centre_of_mass(objects.abs(), ndim)
    if not subpixel:
        shifts = [shift.round() for shift in shifts]
    shape = objects.shape[-ndim:]
    frequencies = fourier.frequencies_corner(shape, objects.device)
    turns = sum(
        q * (shift.reshape(-1, *[1] * ndim) / size) for q, shift, size in zip(frequencies, shifts, shape, strict=True)
    )
    ramp = torch.polar(torch.ones_like(turns), 2 * torch.pi * turns)
    return fourier.inverse_corner(fourier.forward_corner(objects, ndim) * ramp, ndim)


def choose_twins(objects: torch.Tensor, supports: torch.Tensor, ndim: int) -> torch.Tensor:
    """Of each object and its twin the one with sum S (phi - mean phi) r^2 >= 0: a rule that a pattern can decide.

    The sum changes sign with the twin and does not see a global phase; r is the distance from ``N // 2``, where the
    objects are centred. Phases are taken relative to that of sum S u, so that few of them wrap.

    Parameters
    ----------
    objects : (B, *grid) complex64
    supports : (B, *grid) bool, of the objects
    """
    inside = supports.to(torch.float32)
    reference = (objects * inside).sum(_axes(ndim), keepdim=True)
    phase = torch.angle(objects * reference.conj()) * inside
    mean = phase.sum(_axes(ndim), keepdim=True) / inside.sum(_axes(ndim), keepdim=True).clamp(min=1)
    radius2 = sum(axis**2 for axis in coordinates(objects.shape[-ndim:], objects.device))
    moment = ((phase - mean) * inside * radius2).sum(_axes(ndim), keepdim=True)
    return torch.where(moment >= 0, objects, twin(objects, ndim))


SKEW_DIRECTION = (1.0, 0.6, 0.3)
"""On no mirror plane of the cube: even crystals with its symmetries are seldom without a skewness along it."""


def choose_twins_by_shape(objects: torch.Tensor, supports: torch.Tensor, ndim: int) -> torch.Tensor:
    """Of each object and its twin the one whose skewness sum S |u| (d . x)^3 along a fixed direction d is >= 0.

    For phases that are nearly odd, as those of relaxed crystals, where the rule of :func:`choose_twins` decides by
    next to nothing. Arguments like there.
    """
    along = sum(
        d * axis for d, axis in zip(SKEW_DIRECTION, coordinates(objects.shape[-ndim:], objects.device), strict=False)
    )
    skewness = (objects.abs() * supports * along**3).sum(_axes(ndim), keepdim=True)
    return torch.where(skewness >= 0, objects, twin(objects, ndim))


def supports_of(objects: torch.Tensor, ndim: int, share: float = 0.05) -> torch.Tensor:
    """Where the modulus exceeds a share of its maximum, (B, *grid) bool."""
    modulus = objects.abs()
    return modulus > share * modulus.amax(_axes(ndim), keepdim=True)


def turn_cube(volumes: torch.Tensor, number: int) -> torch.Tensor:
    """Volumes turned or mirrored by one of the 48 symmetries of the cube, about the centre ``N // 2``.

    Parameters
    ----------
    volumes : (B, N, N, N), centred
    number : 0 to 47: the order of the axes times eight, plus which of them are reversed, as bits
    """
    order, reversed_axes = divmod(number, 8)
    permuted = volumes.permute(0, *(1 + axis for axis in list(itertools.permutations(range(3)))[order]))
    axes = [1 + axis for axis in range(3) if reversed_axes >> axis & 1]
    size = volumes.shape[-1]
    return torch.roll(torch.flip(permuted, axes), [1 - size % 2] * len(axes), axes) if axes else permuted


def turn_cube_back(volumes: torch.Tensor, number: int) -> torch.Tensor:
    """Undo :func:`turn_cube`."""
    order, reversed_axes = divmod(number, 8)
    axes = [1 + axis for axis in range(3) if reversed_axes >> axis & 1]
    size = volumes.shape[-1]
    straight = torch.roll(torch.flip(volumes, axes), [1 - size % 2] * len(axes), axes) if axes else volumes
    places = list(itertools.permutations(range(3)))[order]
    return straight.permute(0, *(1 + places.index(axis) for axis in range(3)))


def centre_patterns(objects: torch.Tensor, intensity: torch.Tensor, ndim: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Patterns moved by whole pixels so that their centre of mass is at ``N // 2``, and objects without that ramp.

    The place of a Bragg peak is the mean strain, which the diffractometer tells better than a phase ramp.
    """
    shifts = [shift.round() for shift in centre_of_mass(intensity, ndim)]
    axes = _axes(ndim)
    rolled = [torch.roll(item, [-int(shift[i]) for shift in shifts], axes) for i, item in enumerate(intensity)]
    return objects * phase_ramp(shifts, objects.shape[-ndim:]).conj(), torch.stack(rolled)


def phase_ramp(shifts: list[torch.Tensor], shape: tuple[int, ...]) -> torch.Tensor:
    """exp(2 pi i s . x / N), (B, *shape) complex64: what moves a pattern by ``s`` pixels, one (B,) tensor per axis."""
    view = [-1] + [1] * len(shape)
    positions = coordinates(shape, shifts[0].device)
    turns = sum(s.reshape(view) * x / size for s, x, size in zip(shifts, positions, shape, strict=True))
    return torch.polar(torch.ones_like(turns), 2 * torch.pi * turns)
