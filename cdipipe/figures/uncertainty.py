"""Pictures of error bars: the result beside the half widths of its intervals and the spread of its replicas."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from cdipipe.figures.canvas import new_figure, object_pixel, show_image
from cdipipe.uncertainty.estimate import Uncertainty

SHOWN = (
    ("amplitude_90", "90 % amplitude", "sqrt(photons)"),
    ("phase_90", "90 % phase", "rad"),
    ("displacement_90", "90 % displacement", "nm"),
    ("strain_noise", "spread of strain", ""),
    ("noise", "spread by noise", "sqrt(photons)"),
    ("restarts", "spread by starts", "sqrt(photons)"),
)
MARGIN_PX = 3
SHARE = 99
"""Percentile of a map where its colours end."""


def uncertainty_figure(found: Uncertainty) -> Figure:
    """Amplitude and phase of the object and every map, of a volume in the plane through the middle of its support.

    Parameters
    ----------
    found : of :func:`cdipipe.uncertainty.estimate.estimate`
    """
    spans = [
        (max(0, w.min() - MARGIN_PX), w.max() + MARGIN_PX + 1) for w in np.nonzero(found.support | ~found.support.any())
    ]
    box = tuple(slice(*span) for span in spans)
    if found.support.ndim == 3:
        middle = (box[0].start + box[0].stop) // 2
        box = (middle, *box[1:])
    pixel = object_pixel(found.geometry, found.object.shape)
    steps = pixel.steps[-2:]
    origin = tuple(n // 2 - span[0] for n, span in zip(found.object.shape[-2:], spans[-2:], strict=True))
    inside = found.support[box]
    phase = np.angle(found.object * np.exp(-1j * np.angle((np.abs(found.object) * found.object).sum())))
    panels = [("amplitude (sqrt(photons))", np.abs(found.object)[box], "viridis", None)]
    panels += [("phase (rad)", phase[box], "twilight_shifted", (-np.pi, np.pi))]
    for name, title, unit in SHOWN:
        if name in found.maps:
            panels.append((f"{title} ({unit})" if unit else title, found.maps[name][box], "magma", None))
    columns = (len(panels) + 1) // 2
    figure, axes = new_figure(2, columns, 2.9, 2.5)
    for ax in axes.flat[len(panels) :]:
        ax.set_visible(False)
    for ax, (title, values, colours, limits) in zip(axes.flat, panels, strict=False):
        shown = np.ma.masked_array(values, ~inside | ~np.isfinite(values))
        ends = limits or (0, float(np.percentile(shown.compressed(), SHARE)) if shown.count() else 1)
        show_image(ax, shown, steps, pixel.unit, origin, vmin=ends[0], vmax=ends[1] or 1, cmap=colours)
        ax.set_title(title)
    return figure
