"""What pairs of patterns and objects must be, so that a network does not learn nonsense without a complaint."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np

from cdipipe.errors import InputError

logger = logging.getLogger("cdipipe")
COMPARED = 16
"""Pairs whose patterns are compared with those of their objects."""
UNLIKE = 0.5
"""R-factor of pattern and object above which they hardly belong together."""
ALIKE = 0.8
"""Share of the R-factor with another sample's object that one's own should stay below."""
MISSING = 0.05
"""Share of pixels without a count that is worth a line."""


def check_shapes(label: str, patterns, objects, measured) -> None:
    """Raise InputError unless patterns, objects and mask belong together."""
    if patterns.ndim not in (3, 4) or len(set(patterns.shape[1:])) != 1 or len(patterns) < 2:
        raise InputError(
            f"{label}: patterns of shape {patterns.shape}; (N, H, H) or (N, H, H, H) of two or more samples are needed"
        )
    if patterns.dtype.kind not in "biuf" or objects.dtype.kind not in "biufc":
        raise InputError(f"{label}: patterns must be real and objects numbers; got {patterns.dtype}, {objects.dtype}")
    fits = objects.ndim == patterns.ndim and len(objects) == len(patterns)
    if not fits or any(a > b for a, b in zip(objects.shape[1:], patterns.shape[1:], strict=True)):
        raise InputError(f"{label}: objects of shape {objects.shape} do not fit patterns of shape {patterns.shape}")
    if measured is not None and measured.shape not in (patterns.shape, patterns.shape[1:]):
        raise InputError(f"{label}: a mask of shape {measured.shape} does not fit patterns of shape {patterns.shape}")


def look_through(pairs) -> dict[str, Any]:
    """What networks ask of a corpus, from every sample: size, dimensions, phase_range_rad, object_size.

    Raises
    ------
    InputError   a sample that means nothing
    """
    side, span, extent, missing = pairs.intensity.shape[-1], 0.0, 0, 0.0
    for chunk in pairs.chunks:
        found = pairs.read_chunk(*chunk, ("object", "support", "intensity", "measured"))
        numbers = pairs.order[pairs.chunk_indices(*chunk).start :]
        for number, item, inside, counts in zip(
            numbers, found["object"], found["support"], found["intensity"], strict=False
        ):
            if not np.isfinite(item).all() or not inside.any() or not counts.any():
                raise InputError(
                    f"{pairs.folder}: sample {number} has an empty pattern, or an object that is empty or not finite"
                )
            span, extent = max(span, _phase_span(item[inside])), max(extent, *_extents(inside))
        missing += float((~found["measured"]).mean()) * len(found["measured"]) / pairs.plan.count
    if missing > MISSING:
        logger.warning("%s: %.3g %% of the pixels have no count", pairs.folder, 100 * missing)
    phase = 0.0 if span < 1e-3 else round(span, 6)
    return {"size": side, "dimensions": pairs.intensity.ndim - 1, "phase_range_rad": phase, "object_size": extent}


def _phase_span(values: np.ndarray) -> float:
    """Largest minus smallest phase about the mean, in rad."""
    phase = np.angle(values * np.conj((values * np.abs(values)).sum()))
    return float(np.ptp(phase))


def _extents(inside: np.ndarray) -> list[int]:
    """Pixels from first to last along every axis."""
    extents = []
    for axis in range(inside.ndim):
        line = np.flatnonzero(inside.any(tuple(a for a in range(inside.ndim) if a != axis)))
        extents.append(int(line[-1] - line[0] + 1))
    return extents


def compare(pairs) -> None:
    """Look whether the patterns are those of the objects in a plane wave; refuse what is plainly another convention.

    Raises
    ------
    InputError   zero frequency in the corner, or amplitudes
    """
    objects, counts, seen = _first(pairs)
    axes = tuple(range(1, objects.ndim))
    waves = np.fft.fftn(np.fft.ifftshift(objects, axes), axes=axes, norm="ortho")
    model, modulus = np.abs(np.fft.fftshift(waves, axes)), np.sqrt(counts)
    here = _misfit(model, modulus, seen)
    corner = _misfit(np.fft.ifftshift(model, axes), modulus, seen)
    others = {
        "have their zero frequency in the corner: numpy.fft.fftshift them over all axes but the first": corner,
        "are amplitudes: square them": _misfit(model, counts, seen),
    }
    said, best = min(others.items(), key=lambda item: item[1])
    if best < 0.5 * here and best < UNLIKE:
        raise InputError(f"{pairs.folder}: the patterns {said} (R-factor {best:.2g} instead of {here:.2g})")
    strange = _misfit(np.roll(model, 1, 0), modulus, seen)
    if here > min(UNLIKE, ALIKE * strange):
        message = "%s: R-factor %.2g of the patterns and their own objects, %.2g with others'; is their order the same?"
        logger.warning(message, pairs.folder, here, strange)


def _first(pairs) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Objects, counts and measured pixels of the first samples."""
    parts: list[dict[str, np.ndarray]] = []
    for chunk in pairs.chunks:
        parts.append(pairs.read_chunk(*chunk, ("object", "intensity", "measured")))
        if sum(len(part["object"]) for part in parts) >= COMPARED:
            break
    names = ("object", "intensity", "measured")
    objects, counts, seen = (np.concatenate([part[name] for part in parts])[:COMPARED] for name in names)
    return objects, counts.astype(float), seen


def _misfit(model: np.ndarray, modulus: np.ndarray, seen: np.ndarray) -> float:
    """Median R-factor, each pattern scaled to its own counts."""
    factors = []
    for one, wanted, inside in zip(model, modulus, seen, strict=True):
        total, power = wanted[inside].sum(), np.sqrt((wanted[inside] ** 2).sum() / max((one[inside] ** 2).sum(), 1e-30))
        factors.append(np.abs(power * one - wanted)[inside].sum() / total if total > 0 else 1.0)
    return float(np.median(factors))
