"""What a view shows, as plain data for the browser: panels on one grid, their colours and units, and surfaces."""

from __future__ import annotations

import base64
import zlib
from typing import Any

import numpy as np

from cdipipe.bragg.strain import Strain
from cdipipe.errors import InputError
from cdipipe.figures.canvas import object_pixel
from cdipipe.figures.frames import WORDS, in_one_phase
from cdipipe.figures.objects import PHASE_FLOOR, crop_box, is_positive, phase_limit, without_mean_phase
from cdipipe.figures.viewer import surface
from cdipipe.measurement import Reconstruction

UNKNOWN = 65535
"""Stored for what has no value; values are stored in 65,534 steps from the least to the largest."""
MOST_VALUES = 4_000_000
"""Voxels of a view: more would take a browser seconds; larger objects are shown with every second voxel, and so on."""
LARGEST_SHARE = 0.999
"""Amplitudes up to this quantile have a colour of their own."""


def object_view(result: Reconstruction, most_values: int = MOST_VALUES) -> dict[str, Any]:
    """Amplitude, phase and both in one picture, of the part of the grid where the object is.

    Parameters
    ----------
    result : of a single pattern, a volume or a stack, whose frames a slider steps through
    most_values : numbers of an array; of larger ones fewer frames, or every second voxel, are shown

    Returns
    -------
    dict
        ``axes``: of the arrays, name, size, step, unit and index of zero; ``panels``; ``surfaces`` of volumes
    """
    is_stack = result.stack in ("shots", "movie")
    support = result.support.any(0) if is_stack else result.support
    box = crop_box(support)
    values, pixel = result.object, object_pixel(result.geometry, support.shape)
    axes = [
        _axis(name, part, n, step, pixel.unit)
        for name, part, n, step in zip("zyx"[-support.ndim :], box, support.shape, pixel.steps, strict=True)
    ]
    if is_stack:
        frames = _spread(len(values), max(1, most_values // support[box].size))
        values = in_one_phase(values[(frames, *box)], result.stack)
        labels = [WORDS[result.stack].format(index=n + 1, count=len(result.object), offset=0) for n in frames]
        axes = [{"name": "frame", "size": len(frames), "labels": labels}, *axes]
    else:
        values = without_mean_phase(values)[box]
        axes, values = _thinned(axes, values, most_values)
    found = {"axes": axes, "panels": _object_panels(values), "surfaces": []}
    if result.stack == "volume":
        found["surfaces"] = surface.of_object(values, [axis["step"] for axis in axes])
    return found


def crystal_view(crystal: Strain) -> dict[str, Any]:
    """Amplitude, displacement and strain in the orthogonal frame, and the surface coloured by them.

    Parameters
    ----------
    crystal : of :func:`cdipipe.bragg.strain.analyse`

    Returns
    -------
    dict as of :func:`object_view`; axes are x, y and z in nm
    """
    grid = crystal.orthogonal
    origin = np.round(-np.asarray(grid.origin_nm) / grid.voxel_nm).astype(int)
    axes = [
        {"name": name, "size": size, "step": float(grid.voxel_nm), "unit": "nm", "zero": int(zero)}
        for name, size, zero in zip("xyz", grid.amplitude.shape, origin, strict=True)
    ]
    inside = grid.inside
    panels = [_panel("amplitude", "sqrt(photons)", grid.amplitude, "viridis", (0.0, _top(grid.amplitude)))]
    for name, title, unit, factor in surface.OF_CRYSTALS:
        values = np.where(inside, getattr(grid, name) * factor, np.nan)
        largest = _largest(values[grid.bulk])
        panels.append(_panel(title, unit, values, "RdBu_r", (-largest, largest)))
    return {"axes": axes, "panels": panels, "surfaces": surface.of_crystal(crystal)}


def _axis(name: str, part: slice, size: int, step: float, unit: str) -> dict[str, Any]:
    zero = size // 2 - part.start
    return {"name": name, "size": int(part.stop - part.start), "step": float(step), "unit": unit, "zero": int(zero)}


def _spread(count: int, most: int) -> np.ndarray:
    """At most so many of ``count`` numbers, evenly from the first to the last."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int))


def _thinned(axes: list[dict[str, Any]], values: np.ndarray, most: int) -> tuple[list[dict[str, Any]], np.ndarray]:
    """Every n-th voxel of what is too large."""
    every = 1
    while values[(slice(None, None, every),) * values.ndim].size > most:
        every += 1
    if every == 1:
        return axes, values
    kept = values[tuple(slice(axis["zero"] % every, None, every) for axis in axes)]
    axes = [
        axis | {"size": size, "step": axis["step"] * every, "zero": axis["zero"] // every}
        for axis, size in zip(axes, kept.shape, strict=True)
    ]
    return axes, kept


def _object_panels(values: np.ndarray) -> list[dict[str, Any]]:
    """Amplitude, phase where there is one to see, and both."""
    amplitude, top = np.abs(values), _top(values)
    panels = [_panel("amplitude", "sqrt(photons)", amplitude, "viridis", (0.0, top))]
    if is_positive(values):
        return panels
    span = phase_limit(values)
    phase = np.where(amplitude < PHASE_FLOOR * top, np.nan, np.angle(values))
    colours = "twilight_shifted" if span == np.pi else "RdBu_r"
    panels.append(_panel("phase", "rad", phase, colours, (-span, span)))
    panels.append({"title": "both: brightness is amplitude, hue is phase", "of": [0, 1]})
    return panels


def _top(values: np.ndarray) -> float:
    magnitude = np.abs(values)[np.nonzero(values)]
    magnitude = magnitude[np.isfinite(magnitude)]
    return float(np.quantile(magnitude, LARGEST_SHARE)) if magnitude.size else 1.0


def _largest(values: np.ndarray) -> float:
    known = np.abs(values[np.isfinite(values)])
    return (float(np.quantile(known, 0.99)) if known.size else 1.0) or 1.0


def _panel(title: str, unit: str, values: np.ndarray, colours: str, limits: tuple[float, float]) -> dict[str, Any]:
    """One quantity: its values in 16 bits, little-endian, packed by zlib, and how they are coloured."""
    known = np.isfinite(values)
    if not known.any():
        raise InputError(f"a view of {title}: no value is finite")
    low, high = float(values[known].min()), float(values[known].max())
    steps = np.full(values.shape, UNKNOWN, "<u2")
    steps[known] = np.round((values[known] - low) / ((high - low) or 1.0) * (UNKNOWN - 1)).astype("<u2")
    return {
        "title": title, "unit": unit, "low": low, "high": high, "colours": colours, "limits": list(limits),
        "data": base64.b64encode(zlib.compress(steps.tobytes(), 6)).decode("ascii"),
    }  # fmt: skip
