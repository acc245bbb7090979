"""Pictures of error bars: the result beside the half widths of its intervals and the spread of its replicas."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from cdipipe.figures.canvas import OF_IMAGES, new_figure, object_pixel, show_image
from cdipipe.figures.objects import crop_box, without_mean_phase
from cdipipe.uncertainty.record import Uncertainty

SHOWN = (
    ("amplitude_90", "90 % amplitude", "sqrt(photons)"),
    ("phase_90", "90 % phase", "rad"),
    ("displacement_90", "90 % displacement", "nm"),
    ("strain_noise", "spread of strain", ""),
    ("noise", "spread by noise", "sqrt(photons)"),
    ("restarts", "spread by starts", "sqrt(photons)"),
)
SHARE = 99
"""Percentile of a map where its colours end."""


def uncertainty_figure(found: Uncertainty) -> Figure:
    """Amplitude and phase of the object and every map, of a volume in the plane through the middle of its support.

    Parameters
    ----------
    found : of :func:`cdipipe.uncertainty.estimate.estimate`
    """
    box = crop_box(found.support)
    origin = tuple(n // 2 - part.start for n, part in zip(found.object.shape, box, strict=True))[-2:]
    if found.support.ndim == 3:
        box = ((box[0].start + box[0].stop) // 2, *box[1:])
    pixel = object_pixel(found.geometry, found.object.shape)
    inside = found.support[box]
    panels = [("amplitude (sqrt(photons))", np.abs(found.object)[box], "viridis", None)]
    panels += [("phase (rad)", np.angle(without_mean_phase(found.object))[box], "twilight_shifted", (-np.pi, np.pi))]
    for name, title, unit in SHOWN:
        if name in found.maps:
            panels.append((f"{title} ({unit})" if unit else title, found.maps[name][box], "magma", None))
    figure, axes = new_figure(2, -(-len(panels) // 2), margins=OF_IMAGES)
    for ax in axes.flat[len(panels) :]:
        ax.set_visible(False)
    for ax, (title, values, colours, limits) in zip(axes.flat, panels, strict=False):
        shown = np.ma.masked_array(values, ~inside | ~np.isfinite(values))
        low, high = limits or (0, float(np.percentile(shown.compressed(), SHARE)) if shown.count() else 1)
        options = {"vmin": low, "vmax": high or 1, "cmap": colours, "ticks": ax is axes[0, 0]}
        show_image(ax, shown, pixel.steps[-2:], pixel.unit, origin, **options)
        ax.set_title(title)
    return figure
