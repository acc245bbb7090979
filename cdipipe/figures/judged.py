"""How a network did on a corpus: histograms, scatter plots, and its worst and best samples."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from cdipipe.figures.canvas import LINES, name_rows, new_figure, show_image
from cdipipe.figures.contact import middle_plane
from cdipipe.figures.objects import crop_box

BINS = 30
DRAWN = {
    "complex_correlation": "complex correlation",
    "phase_error_rad": "error of the phase, rad",
    "shape_correlation": "correlation of the shape",
    "r_factor": "R-factor",
}
BESIDE = {"complex_correlation": "flat_correlation", "phase_error_rad": "flat_phase_error_rad"}
"""What phase zero has."""
HANGS_ON = {
    "support_px": "size of the object, px",
    "phase_range_rad": "range of the phase, rad",
    "phase_wraps": "jumps of the phase by over pi",
    "photons": "photons",
    "masked_share": "share not measured",
}


def judged_figure(columns: dict[str, np.ndarray], title: str) -> Figure:
    """Above histograms, with phase zero beside the network; below the correlation against what it may hang on.

    What is the same for all samples is left out.

    Parameters
    ----------
    columns : of ``cdipipe.training.judge.Judged``
    """
    hangs_on = [name for name in HANGS_ON if np.ptp(columns[name]) > 0]
    figure, axes = new_figure(2, max(len(DRAWN), len(hangs_on)), 2.6, 2.2)
    for place, (name, text) in zip(axes[0], DRAWN.items(), strict=False):
        values = [columns[column] for column in (name, BESIDE.get(name)) if column]
        edges = np.histogram_bin_edges(np.concatenate(values), BINS)
        for data, label, colour in zip(values, ("network", "phase zero"), LINES, strict=False):
            place.hist(data, edges, histtype="step", label=label, color=colour)
        place.set(xlabel=text)
    axes[0, 0].legend(frameon=False, loc="upper left")
    for place, name in zip(axes[1], hangs_on, strict=False):
        place.plot(columns[name], columns["complex_correlation"], ".", markersize=2.5, color=LINES[0])
        place.set(xlabel=HANGS_ON[name])
        if name == "photons" and columns[name].max() > 10 * max(columns[name].min(), 1e-12):
            place.set_xscale("log")
    for place in (*axes[0, len(DRAWN) :], *axes[1, len(hangs_on) :]):
        place.set_axis_off()
    axes[0, 0].set_ylabel("samples")
    if hangs_on:
        axes[1, 0].set_ylabel("complex correlation")
    figure.suptitle(title)
    return figure


def extremes_figure(shown: list[dict[str, Any]], title: str) -> Figure:
    """Amplitude and phase of truths and of what the network made of their patterns; of volumes the middle planes.

    Parameters
    ----------
    shown : of ``cdipipe.training.judge.Judged``
    """
    figure, axes = new_figure(4, len(shown), 1.5, 1.4)
    for column, entry in enumerate(shown):
        there = np.abs(middle_plane(entry["truth"]))
        box = crop_box(there > 0.05 * there.max())
        scale = np.linalg.norm(entry["truth"]) / max(np.linalg.norm(entry["found"]), 1e-30)  # networks may have another
        for row, name in enumerate(("truth", "found")):
            plane = middle_plane(entry[name])[box] * (scale if row else 1)
            modulus = np.abs(plane)
            show_image(axes[row, column], modulus, ticks=False, cmap="viridis", vmin=0)
            hidden = modulus <= 0.1 * max(modulus.max(), 1e-30)
            phase = np.ma.masked_array(np.angle(plane), hidden)
            show_image(axes[2 + row, column], phase, ticks=False, cmap="twilight_shifted", vmin=-np.pi, vmax=np.pi)
        axes[0, column].set_title(f"{entry['number']}: {entry['correlation']:.3f}")
    name_rows(axes, ("true modulus", "network's", "true phase", "network's"))
    figure.suptitle(title)
    return figure
