"""Patterns and objects: one reconstruction beside its data and truth, or several side by side."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from cdipipe.figures.canvas import (
    OF_IMAGES,
    POWERS_OF_TEN,
    Pixel,
    add_colorbar,
    name_rows,
    new_figure,
    object_pixel,
    show_image,
)
from cdipipe.measurement import Measurement, Reconstruction, Truth

PHASE_FLOOR = 0.1
"""Phases are hidden where the amplitude is below this share of its 99 % quantile."""
PLANES = ("xy", "xz", "yz")
PLANE_AXES = ((1, 2), (0, 2), (0, 1))


@dataclass(frozen=True)
class _Slice:
    """A plane through an object: complex values, support, and the pixel lengths along its two axes."""

    values: np.ndarray
    support: np.ndarray
    steps: tuple[float, float]
    origin: tuple[int, int]


def first_frame(array: np.ndarray, stack: str) -> np.ndarray:
    """The array of a single pattern or volume itself, of a stack its first entry."""
    return array[0] if stack in ("shots", "movie") else array


def crop_box(support: np.ndarray, margin: float = 0.25) -> tuple[slice, ...]:
    """Box around a support with a margin of that share of its size, at least 3 px; all of an empty one."""
    if not support.any():
        return tuple(slice(0, n) for n in support.shape)
    box = []
    for axis, size in enumerate(support.shape):
        others = tuple(a for a in range(support.ndim) if a != axis)
        inside = np.flatnonzero(support.any(axis=others))
        pad = max(3, round(margin * (inside[-1] - inside[0] + 1) / 2))
        box.append(slice(max(0, inside[0] - pad), min(size, inside[-1] + 1 + pad)))
    return tuple(box)


def _slices(values: np.ndarray, support: np.ndarray, box: tuple[slice, ...], pixel: Pixel) -> list[_Slice]:
    """The cropped object, or the three planes through the middle of the crop of a volume."""
    origin = tuple(n // 2 - b.start for n, b in zip(values.shape, box, strict=True))
    values, support = values[box], support[box]
    if values.ndim == 2:
        return [_Slice(values, support, pixel.steps, origin)]
    centre = [n // 2 for n in values.shape]
    if support.any():
        centre = [round(c) for c in np.argwhere(support).mean(axis=0)]
    found = []
    for kept in PLANE_AXES:
        index = tuple(slice(None) if axis in kept else centre[axis] for axis in range(3))
        found.append(
            _Slice(
                values[index],
                support[index],
                tuple(pixel.steps[a] for a in kept),
                tuple(origin[a] for a in kept),
            )
        )
    return found


def without_mean_phase(values: np.ndarray) -> np.ndarray:
    """The object times the global phase that makes the phase of sum |u| u zero."""
    mean = np.sum(np.abs(values) * values)
    return values * np.exp(-1j * np.angle(mean)) if mean != 0 else values


def is_positive(values: np.ndarray) -> bool:
    """Whether an object is real and not negative, as far as one can see: its phase then says nothing."""
    least = 1e-3 * float(np.abs(values).max(initial=0.0))
    return bool(np.abs(values.imag).max(initial=0.0) <= least and values.real.min(initial=0.0) >= -least)


def _amplitude_limit(values: np.ndarray) -> float:
    magnitude = np.abs(values)
    return float(np.quantile(magnitude[magnitude > 0], 0.999)) if np.any(magnitude > 0) else 1.0


def show_pattern(axes: Axes, intensity: np.ndarray, measured: np.ndarray, title: str, ticks=True) -> None:
    """Log-scaled intensity; pixels that were not measured are grey, zero counts the darkest colour."""
    shown = np.ma.masked_array(intensity, ~measured)
    top = float(max(shown.max(), 1e-30)) if shown.count() else 1.0
    bottom = min(max(top * 1e-7, 0.5), top / 10) if top > 1 else top * 1e-6
    norm = LogNorm(bottom, top)
    options = {"norm": norm, "cmap": "inferno", "colorbar": False}
    artist = show_image(axes, np.ma.clip(shown, bottom, None), unit="detector px", ticks=ticks, **options)
    add_colorbar(artist, format=POWERS_OF_TEN)
    axes.set_title(title)


def show_amplitude(axes: Axes, plane: _Slice, unit: str, limit: float, title: str, **options) -> None:
    """Amplitude from 0 to ``limit``; ``options`` of :func:`show_image`."""
    options |= {"vmin": 0, "vmax": limit, "cmap": "viridis"}
    show_image(axes, np.abs(plane.values), plane.steps, unit, plane.origin, **options)
    axes.set_title(title)


def phase_limit(values: np.ndarray) -> float:
    """Half the phase range to show: pi, or less (in steps of 0.1 rad) where hardly any phase comes near a wrap.

    Pixels count by their squared amplitude, so that stray phases at the rim do not decide.
    """
    weights = np.abs(values.ravel()) ** 2
    if not weights.any():
        return np.pi
    phases = np.abs(np.angle(values.ravel()))
    order = np.argsort(phases)
    share = np.cumsum(weights[order]) / weights.sum()
    largest = float(phases[order][np.searchsorted(share, 0.99)])
    return np.pi if largest > np.pi / 2 else max(0.1, np.ceil(largest * 10) / 10)


def show_phase(
    axes: Axes, plane: _Slice, unit: str, limit: float, title: str, span: float = np.pi, colorbar=True, ticks=True
) -> None:
    """Phase from -span to span, hidden where the amplitude is small.

    The full circle has a cyclic map; a smaller span, where nothing wraps, a diverging one.
    """
    hidden = np.abs(plane.values) < PHASE_FLOOR * limit
    phase = np.ma.masked_array(np.angle(plane.values), hidden)
    options = {"vmin": -span, "vmax": span, "cmap": "twilight_shifted" if span == np.pi else "RdBu_r"}
    artist = show_image(axes, phase, plane.steps, unit, plane.origin, colorbar=False, ticks=ticks, **options)
    if colorbar:
        ends = "neither" if span == np.pi else "both"
        bar = add_colorbar(artist, ticks=[-span, 0, span], extend=ends)
        bar.ax.set_yticklabels(["−π", "0", "π"] if span == np.pi else [f"−{span:.1f}", "0", f"{span:.1f}"])
    axes.set_title(title)


def _pattern_planes(intensity: np.ndarray, measured: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    measured = np.broadcast_to(measured, intensity.shape)
    if intensity.ndim == 2:
        return [(intensity, measured)]
    return [
        (np.take(intensity, intensity.shape[axis] // 2, axis), np.take(measured, intensity.shape[axis] // 2, axis))
        for axis in range(3)
    ]


def _margins(is_stack: bool):
    """Those of images, with room for the title of a stack."""
    return replace(OF_IMAGES, head=0.3) if is_stack else OF_IMAGES


def _first_pattern(measurement: Measurement) -> tuple[np.ndarray, np.ndarray]:
    frame = measurement.pattern(0)
    return frame.intensity, frame.measured


def pattern_figure(measurement: Measurement) -> Figure:
    """The measured pattern on a log scale; of a volume the three central planes, of a stack the first entry."""
    planes = _pattern_planes(*_first_pattern(measurement))
    is_stack = measurement.stack in ("shots", "movie")
    figure, axes = new_figure(1, len(planes), 3.5, 3.0, _margins(is_stack))
    for index, (ax, (intensity, measured)) in enumerate(zip(axes[0], planes, strict=True)):
        where = f", {PLANES[index]} plane" if len(planes) == 3 else ""
        show_pattern(ax, intensity, measured, f"intensity (photons){where}")
    if is_stack:
        figure.suptitle(f"first of {measurement.pattern_count} patterns")
    return figure


def object_figure(
    reconstruction: Reconstruction, measurement: Measurement | None = None, truth: Truth | None = None
) -> Figure:
    """Amplitude, phase and support of one object, with its pattern and its truth where given.

    Objects that are real and not negative have no phase to show.

    The truth is laid over the object (whole-pixel shift, twin, global phase), so the object stays as it was found;
    both share their scales.
    A volume gives three rows: its planes through the centre of the support.
    """
    values = without_mean_phase(first_frame(reconstruction.object, reconstruction.stack))
    support = first_frame(reconstruction.support, reconstruction.stack)
    pixel = object_pixel(reconstruction.geometry, values.shape)
    box = crop_box(support)
    true_values = None if truth is None else _laid_over(values, first_frame(truth.object, truth.stack))
    planes = _slices(values, support, box, pixel)
    true_planes = [None] * len(planes) if truth is None else _slices(true_values, support, box, pixel)
    patterns = _pattern_planes(*_first_pattern(measurement)) if measurement is not None else []
    is_stack = reconstruction.stack in ("shots", "movie")
    shown = values[box] if truth is None else np.stack([values[box], true_values[box]])
    has_phase = not is_positive(shown)
    columns = bool(patterns) + (1 + has_phase) * (1 + (truth is not None)) + 1
    figure, axes = new_figure(len(planes), columns, margins=_margins(is_stack))
    limit, span = _amplitude_limit(shown), phase_limit(values[box])
    if truth is not None:  # a static structure beside a faint sample would leave nothing of it to see
        limit = min(limit, 1.5 * _amplitude_limit(true_values[box]))
    for row, (plane, true_plane) in enumerate(zip(planes, true_planes, strict=True)):
        where = f", {PLANES[row]}" if len(planes) == 3 else ""
        cells = iter(axes[row])
        if patterns:
            show_pattern(next(cells), *patterns[row], f"intensity (photons){where}")
        pair = [("", plane)] if true_plane is None else [("", plane), ("true ", true_plane)]
        for of, one in pair:
            options = {"colorbar": one is pair[-1][1], "ticks": one is plane}
            show_amplitude(next(cells), one, pixel.unit, limit, f"{of}amplitude{where}", **options)
        for of, one in pair if has_phase else []:
            options = {"colorbar": one is pair[-1][1], "ticks": False}
            show_phase(next(cells), one, pixel.unit, limit, f"{of}phase (rad){where}", span, **options)
        ax = next(cells)
        options = {"colorbar": False, "ticks": False, "cmap": "gray", "vmin": 0, "vmax": 1}
        show_image(ax, plane.support, plane.steps, pixel.unit, plane.origin, **options)
        ax.set_title(f"support{where}")
    if is_stack:
        figure.suptitle(f"first of {len(reconstruction.object)} objects")
    return figure


def _laid_over(reference: np.ndarray, moving: np.ndarray) -> np.ndarray:
    """An object laid over another one by whole pixels, twin and global phase; or only by the phase.

    The latter where it fits better inside the smaller one of both: a static structure that only one of them has keeps
    both in their places, and being brighter than the sample it would draw the sample over itself.
    """
    from cdipipe.metrics.align import align_to, correlation, lay_over

    moved = align_to(reference, moving, ndim=reference.ndim, subpixel=False).object
    staying = lay_over(reference, moving, "phase")

    def fit(laid: np.ndarray) -> float:
        inside = min(laid != 0, reference != 0, key=np.count_nonzero)
        return correlation(laid[inside], reference[inside])

    return staying if fit(staying) > fit(moved) else moved


def comparison_figure(named: list[tuple[str, Reconstruction]], truth: Truth | None = None) -> Figure:
    """Amplitude (upper row) and phase (lower row) of several objects of one measurement, and of their truth.

    Where all are real and not negative there is no row of phases.

    All are laid over the truth, or over the first one (whole-pixel shift, twin, global phase), and share their scales.
    Volumes show their plane through the middle of the support.
    """
    objects = [(name, first_frame(r.object, r.stack), first_frame(r.support, r.stack)) for name, r in named]
    if truth is not None:
        head = ("truth", first_frame(truth.object, truth.stack), first_frame(truth.support, truth.stack))
        objects = [head, *objects]
    reference = without_mean_phase(objects[0][1])
    box = crop_box(objects[0][2])
    pixel = object_pixel(named[0][1].geometry, reference.shape)
    span = phase_limit(reference[box])
    laid = [reference, *(_laid_over(reference, values) for _, values, _ in objects[1:])]
    has_phase = not all(is_positive(values[box]) for values in laid)
    figure, axes = new_figure(1 + has_phase, len(objects), margins=OF_IMAGES)
    limit = min(max(_amplitude_limit(values[box]) for values in laid), 1.5 * _amplitude_limit(reference[box]))
    for column, ((name, _, _), values) in enumerate(zip(objects, laid, strict=True)):
        plane = _slices(values, objects[0][2], box, pixel)[0]
        last = column == len(objects) - 1
        options = {"colorbar": last, "ticks": column == 0 and not has_phase}
        show_amplitude(axes[0, column], plane, pixel.unit, limit, name, **options)
        if has_phase:
            options = {"colorbar": last, "ticks": column == 0}
            show_phase(axes[1, column], plane, pixel.unit, limit, "phase (rad)", span, **options)
    name_rows(axes[:1], ["amplitude"])
    return figure
