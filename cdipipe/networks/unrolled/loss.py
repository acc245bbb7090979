"""What the unrolled network learns from, and what it lowers: the difference of objects after twin, shift and phase."""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor
from torch.nn import functional

from cdipipe.errors import InputError
from cdipipe.networks.layers.complex_heads import in_grid
from cdipipe.networks.losses.labels import centre_of_mass, phase_ramp, turn_cube
from cdipipe.networks.registry import Stage
from cdipipe.networks.unrolled.model import inside_of, room_of
from cdipipe.networks.unrolled.physics import half_autocorrelation
from cdipipe.networks.unrolled.settings import UnrolledSettings
from cdipipe.networks.views import turn
from cdipipe.optics import fourier
from cdipipe.optics.grid import central_slices

LEAST_SQUARE = 1e-8
"""Keeps the gradient of a root, and a logarithm, finite."""
SUPPORT_SHARE = 0.02
"""Of an object's maximum: the support is where it is above."""
MOST_WRONG = 0.6
"""Strength of the noise that spoils a support: at most about a fifth of the pixels turn."""
LARGEST_SHARE_OUTSIDE = 0.01
"""Of an object's light; more, and the box is too small for it."""


def prepare(arrays, settings: UnrolledSettings, generator):
    """``inputs`` (B, *grid) photons, ``measured``, ``objects`` (B, *box) of maximum 1, ``scale``, and where GPS begins.

    Raises
    ------
    InputError   objects that do not fit into the box
    """
    network = settings.network
    intensity, measured, objects = arrays["intensity"], arrays["measured"].bool(), arrays["object"]
    if objects.shape[1:] != (network.size,) * network.dimensions:
        objects, intensity = on_finer_grid(objects, network.size)
        measured = torch.ones_like(intensity, dtype=torch.bool)
    if settings.photons is not None:
        intensity, objects = count_photons(intensity, objects, settings.photons, settings.noise_share, generator)
    if settings.symmetries:
        one_of = turn if network.dimensions == 2 else turn_cube
        count = 8 if network.dimensions == 2 else 48
        number = int(torch.randint(count, (1,), generator=generator, device=generator.device))
        intensity, measured, objects = (one_of(array, number) for array in (intensity, measured, objects))
    boxes = objects[(..., *central_slices(objects.shape[1:], (network.box_px,) * network.dimensions))]
    axes = tuple(range(1, objects.ndim))
    inside, whole = (array.abs().square().sum(axes) for array in (boxes, objects))
    if float((1 - inside / whole.clamp(min=1e-20)).amax()) > LARGEST_SHARE_OUTSIDE:
        raise InputError(
            f"unrolled: objects of the corpus reach beyond a box of {network.box_px} pixels; raise network.box_px"
        )
    boxes = boxes.abs() if network.real else boxes
    scale = boxes.abs().amax(axes, keepdim=True).clamp(min=1e-12)
    start = draw_start(network, len(boxes), generator)
    rest = torch.ones_like(boxes, dtype=torch.bool)
    if network.first_support == "autocorrelation":
        rest = half_autocorrelation(intensity, measured, boxes.shape[1:])
    told, spoilt = draw_support(boxes / scale, settings.told_share, generator)
    support, room = torch.where(told, spoilt, rest), told | room_of(rest)
    batch = {"inputs": intensity, "measured": measured, "objects": boxes / scale, "scale": scale}
    return {**batch, "start": start, "support": support, "room": room}


def count_photons(
    intensity: Tensor, objects: Tensor, photons: tuple[float, float], share: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Patterns as ``draw_noise`` makes them, but in photons, of which the network sees the noise; objects likewise."""
    axes = tuple(range(1, intensity.ndim))
    low, high = (math.log(value) for value in photons)
    draws = torch.rand((2, len(intensity)), generator=generator, device=intensity.device)
    draws = draws.reshape(2, -1, *[1] * len(axes))
    scale = torch.exp(low + (high - low) * draws[0]) / intensity.sum(axes, keepdim=True).clamp(min=1e-12)
    mean = intensity.clamp(min=0) * scale
    return torch.where(draws[1] < share, torch.poisson(mean, generator=generator), mean), objects * scale.sqrt()


def on_finer_grid(objects: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Objects as large as the box in a grid of zeros, without the ramp of their peak, and their patterns."""
    ndim = objects.ndim - 1
    whole = in_grid(objects, (size,) * ndim)
    place = centre_of_mass(fourier.forward(whole, ndim).abs().square(), ndim)
    whole = whole * phase_ramp(place, whole.shape[1:]).conj()
    return whole, fourier.forward(whole, ndim).abs().square()


def draw_support(objects: Tensor, share: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Which share of the objects begins in the true support, (B, 1, ...), and it with a few wrong patches, (B, *box).

    A network that seldom sees an object that is nearly right does not learn to leave it so.
    """
    pool = functional.avg_pool2d if objects.ndim == 3 else functional.avg_pool3d
    noise = torch.randn(objects.shape, generator=generator, device=objects.device)
    smooth = pool(noise[:, None], 3, 1, 1)[:, 0] * 3 ** ((objects.ndim - 1) / 2)
    draws = torch.rand((2, len(objects)), generator=generator, device=objects.device)
    draws = draws.reshape(2, -1, *[1] * (objects.ndim - 1))
    inside = (objects.abs() > SUPPORT_SHARE).to(smooth.dtype) - 0.5 + MOST_WRONG * draws[0] * smooth > 0
    return draws[1] < share, inside


def draw_start(network, count: int, generator: torch.Generator) -> Tensor:
    """(count, *box) noise: uniform for real objects, complex normal otherwise; on the generator's device."""
    shape, device = (count, *(network.box_px,) * network.dimensions), generator.device
    if network.real:
        return torch.rand(shape, generator=generator, device=device)
    return torch.randn(shape, generator=generator, device=device, dtype=torch.complex64)


def lay_targets(targets: Tensor, objects: Tensor) -> Tensor:
    """Targets, or their twins, moved and turned in phase to where objects match them best, on twice the box.

    Which twin and which shift, by whole pixels and at most half the box, is decided without gradient by the largest
    cross-correlation. Nothing wraps around: an object that leaves the box on one side must not pass for a whole one.

    Parameters
    ----------
    targets, objects : (B, *box) float or complex, even sides

    Returns
    -------
    (B, *canvas), the boxes in the middle of twice their sides
    """
    with torch.no_grad():
        axes = tuple(range(1, targets.ndim))
        wide = on_canvas(targets)
        twins = torch.stack([wide, wide.flip(axes).conj().resolve_conj()], 1)
        spectra = torch.fft.fftn(on_canvas(objects), dim=axes)[:, None]
        matches = torch.fft.ifftn(
            spectra * torch.fft.fftn(twins, dim=[a + 1 for a in axes]).conj(), dim=[a + 1 for a in axes]
        )
        strength = matches.abs() if targets.is_complex() else matches.real
        for axis, side in zip(axes, targets.shape[1:], strict=True):
            far = [slice(None)] * strength.ndim
            far[axis + 1] = slice(side // 2 + 1, side + side // 2)
            strength[tuple(far)] = -torch.inf
        best = strength.flatten(1).argmax(1)
        place = torch.unravel_index(best, strength.shape[1:])
        items = torch.arange(len(targets), device=best.device)
        chosen, index = twins[items, place[0]], [items.reshape(-1, *[1] * len(axes))]
        for axis, shift in zip(axes, place[1:], strict=True):
            side = wide.shape[axis]
            along = (torch.arange(side, device=best.device) - shift[:, None]) % side
            index.append(along.reshape(len(along), *[side if a == axis else 1 for a in axes]))
        moved = chosen[tuple(index)]
        if targets.is_complex():
            overlap = matches.flatten(1)[items, best].reshape(-1, *[1] * len(axes))
            moved = moved * torch.polar(torch.ones_like(overlap.real), overlap.angle())
        return moved


def on_canvas(boxes: Tensor, batch_axes: int = 1) -> Tensor:
    """Boxes in the middle of zeros of twice their sides."""
    margins = [(side // 2,) * 2 for side in reversed(boxes.shape[batch_axes:])]
    return functional.pad(boxes, tuple(itertools.chain(*margins)))


def loss(module, batch, settings: UnrolledSettings):
    """Difference of the estimates of all steps to the target that the last one lies over best, late ones more.

    To it comes the cross-entropy of the supports.
    """
    begins = {name: batch[name] for name in ("support", "room")}
    estimates, logits = module(batch["inputs"], batch["measured"], batch["start"], **begins)
    estimates = estimates / batch["scale"]
    targets = lay_targets(batch["objects"], estimates[-1].detach())
    difference = on_canvas(estimates, 2) - targets
    pixels = settings.network.box_px**settings.network.dimensions
    squares = torch.view_as_real(difference) if difference.is_complex() else difference
    squares = squares.square().flatten(2).sum(2) / pixels  # of (steps, samples)
    if settings.norm == "l1":
        each = difference.abs().flatten(2).sum(2).mean(1) / pixels
    else:
        each = (squares if settings.norm == "l2" else (squares + LEAST_SQUARE).sqrt()).mean(1)
    inside = (targets.abs() > SUPPORT_SHARE).to(logits.dtype)
    inside = inside[(..., *central_slices(inside.shape[1:], logits.shape[2:]))].expand_as(logits)
    entropy = functional.binary_cross_entropy_with_logits(logits, inside, reduction="none").flatten(1).mean(1)
    turns = torch.arange(1, len(each) + 1, device=each.device) / len(each)
    weights = turns**settings.late_power
    total = (weights * (each + settings.support_weight * entropy)).sum() / weights.sum()
    wrong = (inside_of(logits[-1].detach()) != (inside[-1] > 0)).float().mean()
    decibels = (-10 * torch.log10(squares[-1].detach() + LEAST_SQUARE)).mean()
    return total, {"last": each[-1].detach(), "psnr_db": decibels, "wrong_support": wrong}


def stages(settings: UnrolledSettings) -> tuple[Stage, ...]:
    return (Stage("all", loss),)
