"""Metrics of several reconstructions as one table whose colours rank every column."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from cdipipe.figures.canvas import Picture
from cdipipe.metrics.registry import all_metrics, good_end, heading_of


def ranks(values: list[float | None], good: str | None) -> list[float | None]:
    """0 (worst) to 1 (best) for every known value of a column; equal values rank alike, and all of a column without a
    better end."""
    if good is None:
        return [None] * len(values)
    known = sorted({v for v in values if v is not None}, reverse=good == "low")
    scale = max(1, len(known) - 1)
    return [None if v is None else (known.index(v) / scale if len(known) > 1 else 0.5) for v in values]


def shown_columns(rows: list[Mapping]) -> list[str]:
    """The metrics of a summary that at least one row has, in the order of their declarations."""
    shown = [name for name, metric in all_metrics().items() if metric.shown]
    return [name for name in shown if any(isinstance(row.get(name), (int, float)) for row in rows)]


def metrics_figure(named: list[tuple[str, Mapping]]) -> Figure:
    """Rows are reconstructions, columns metrics; the darker a cell, the better in its column.

    Only rows of one measurement, the part of the name before the last slash, are ranked against each other.
    """
    keys = shown_columns([metrics for _, metrics in named])
    figure = Picture(figsize=(2.4 + 0.95 * max(1, len(keys)), 0.3 + 0.28 * (len(named) + 1)), layout="constrained")
    axes = figure.subplots()
    axes.set_axis_off()
    table = axes.table(
        cellText=[[_text(metrics.get(key)) for key in keys] or [""] for _, metrics in named],
        cellColours=_shades(named, keys) if keys else None,
        rowLabels=[name for name, _ in named],
        colLabels=[heading_of(key) for key in keys] or ["no metrics"],
        cellLoc="center",
        bbox=(0, 0, 1, 1),
    )
    for cell in table.get_celld().values():
        cell.set_edgecolor("#d0d0d0")
    table.auto_set_font_size(False)
    table.set_fontsize(7.5)
    return figure


def _shades(named: list[tuple[str, Mapping]], keys: list[str]) -> np.ndarray:
    """Colour (rows, columns, 4) of every cell."""
    shades = np.ones((len(named), len(keys), 4))
    colours = matplotlib.colormaps["Blues"]
    groups = [name.rpartition("/")[0] for name, _ in named]
    for group in set(groups):
        rows = [row for row, own in enumerate(groups) if own == group]
        for column, key in enumerate(keys):
            found = ranks([named[row][1].get(key) for row in rows], good_end(key))
            for row, rank in zip(rows, found, strict=True):
                if rank is not None:
                    shades[row, column] = colours(0.05 + 0.5 * rank)
    return shades


def _text(value) -> str:
    return f"{value:.3g}" if isinstance(value, (int, float)) else ""
