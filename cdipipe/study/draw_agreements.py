"""Objects of several methods, where each does not explain its pattern, and how far they agree: needs no truth."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cdipipe.figures.canvas import Margins, add_colorbar, name_rows, new_figure, show_image
from cdipipe.figures.objects import crop_box
from cdipipe.metrics.image import pcc
from cdipipe.study.draw_galleries import show_object
from cdipipe.study.objects import PatternObjects

AROUND = Margins(left=0.3, right=0.5, below=0.12, above=0.3, head=0.3)
WORST = 1.0
"""Local R-factor of the darkest colour: the predicted modulus is off by as much as the measured one."""


def agreement_figure(rows: Mapping[str, PatternObjects], methods: list[str], title: str, phase: bool = False) -> Figure:
    """Two lines for each measurement: objects with the matrix of their correlations, and their local R-factors.

    Parameters
    ----------
    rows : label -> objects of one pattern, with their misfits
    methods : order of the columns
    phase : the phase instead of the amplitude; correlations are of amplitudes in either case
    """
    has_truth = any(pattern.truth is not None for pattern in rows.values())
    names = ["truth"] * has_truth + [m for m in methods if any(m in pattern.objects for pattern in rows.values())]
    figure, axes = new_figure(2 * len(rows), len(names) + 1, 1.7, 1.7, AROUND)
    for ax in axes.flat:
        ax.spines[:].set_visible(False)
        ax.set(xticks=[], yticks=[])
    for number, (label, pattern) in enumerate(rows.items()):
        upper, lower = axes[2 * number : 2 * number + 2]
        _show_row(upper, lower, pattern, names, phase)
        name_rows(axes[2 * number : 2 * number + 2], [label, "local R"])
    figure.suptitle(title)
    return figure


def _show_row(upper, lower, pattern: PatternObjects, names: list[str], phase: bool) -> None:
    known = {"truth": pattern.truth} if pattern.truth is not None else {}
    objects = {**known, **pattern.objects}
    box = crop_box(pattern.support, 0.1 if known else 0.5)
    limit = float(np.abs(pattern.first[box]).max()) or 1.0
    artist = None
    for column, name in enumerate(names):
        if name in objects:
            upper[column].spines[:].set_visible(True)
            show_object(upper[column], objects[name][box], limit, phase)
            upper[column].set_title(name, fontsize=8)
        if name in pattern.misfits:
            misfit = pattern.misfits[name]
            lower[column].spines[:].set_visible(True)
            options = {"cmap": "magma_r", "vmin": 0, "vmax": WORST, "colorbar": False, "ticks": False}
            artist = show_image(lower[column], np.ma.masked_invalid(misfit), **options)
            lower[column].set_title(f"mean {np.nanmean(misfit):.2f}" if np.isfinite(misfit).any() else "", fontsize=8)
    if artist is not None:
        add_colorbar(artist)
    _show_matrix(upper[-1], list(objects), correlations(list(objects.values()), pattern.support))


def correlations(objects: list[np.ndarray], support: np.ndarray) -> np.ndarray:
    """(N, N) Pearson's coefficients of the amplitudes of N objects inside a support; NaN of one that is constant.

    Parameters
    ----------
    objects : each (H, W) complex, laid over each other
    support : (H, W) bool; where it is empty, the whole array counts
    """
    inside = support if support.any() else np.ones_like(support)
    values = [np.abs(object_[inside]) for object_ in objects]
    found = [[pcc(one, two) for two in values] for one in values]
    return np.array([[np.nan if value is None else value for value in row] for row in found])


def _show_matrix(axes: Axes, names: list[str], matrix: np.ndarray) -> None:
    """Numbers on colours; 1 is dark."""
    axes.imshow(np.ma.masked_invalid(matrix), cmap="Blues", vmin=0, vmax=1)
    size = 7 if len(names) <= 3 else 5
    for row, column in np.ndindex(*matrix.shape):
        value = matrix[row, column]
        if np.isfinite(value):
            colour = "white" if value > 0.6 else "black"
            axes.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=size, color=colour)
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=size)
    axes.set_yticks(range(len(names)), names, fontsize=size)
    axes.yaxis.tick_right()
    axes.set_title("correlation", fontsize=8)
