"""Curves over the values of a swept key."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cdipipe.figures.canvas import LINES, Picture
from cdipipe.metrics.registry import heading_of
from cdipipe.study.draw_tables import show_curves
from cdipipe.study.tables import Table

WIDE = 20
"""Numbers whose largest is so many times the smallest stand on a logarithmic axis."""


def sweep_figure(tables: list[Table]) -> Figure:
    """A panel per metric with a line per measurement; the lowest free likelihood of each is ringed in all panels.

    Parameters
    ----------
    tables : of a sweep, see ``fill_sweep``; the first decides what is ringed
    """
    figure = Picture(figsize=(6.4, 0.4 + 2.9 * len(tables)), layout="constrained")
    panels = figure.subplots(len(tables), 1, squeeze=False)[:, 0]
    best = [int(np.nanargmin(row)) if np.isfinite(row).any() else None for row in tables[0].mean]
    for axes, table in zip(panels, tables, strict=True):
        _show(axes, table, best)
    figure.suptitle(tables[0].title)
    return figure


def _show(axes: Axes, table: Table, best: list[int | None]) -> None:
    if table.axis is None:  # values without a number stand side by side
        places = list(range(len(table.columns)))
        axes.set_xticks(places, [str(value) for value in table.columns])
    else:
        places = table.columns
    show_curves(axes, replace(table, columns=places, axis=table.axis or ""))
    known = table.mean[np.isfinite(table.mean)]
    if known.min() > 0 and known.max() > WIDE * known.min():
        axes.set_yscale("log")
    axes.set_ylabel(heading_of(table.metric))
    for number, place in enumerate(best):
        if place is not None and np.isfinite(table.mean[number, place]):
            ring = {"marker": "o", "markersize": 11, "markerfacecolor": "none", "linestyle": ""}
            axes.plot([places[place]], [table.mean[number, place]], color=LINES[number % len(LINES)], **ring)
