"""Tables with a paper's values beside, and curves over a parameter."""

from __future__ import annotations

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cdipipe.figures.canvas import LINES, Picture
from cdipipe.figures.tables import ranks
from cdipipe.metrics.registry import good_end, heading_of
from cdipipe.study.tables import Table

STYLES = (("o", "-"), ("s", "--"), ("^", ":"))
"""Marks and lines of the first methods, and of those beyond the number of colours."""
PRINTED_SHADE = (0.94, 0.94, 0.94, 1.0)


def table_figure(table: Table) -> Figure:
    """The table, the better values darker, printed values grey; above it the curves where it has an axis."""
    rows, columns = len(table.rows), len(table.columns)
    width, height = max(4.0, 2.0 + 1.25 * columns), 0.5 + 0.28 * (rows + 1)
    curves = table.axis is not None
    figure = Picture(figsize=(max(width, 6.0) if curves else width, height + 3.2 * curves), layout="constrained")
    ratios = [3.2, height] if curves else [height]
    axes = figure.subplots(1 + curves, 1, height_ratios=ratios, squeeze=False)[:, 0]
    if curves:
        show_curves(axes[0], table)
    figure.suptitle(f"{table.title}: {heading_of(table.metric)}")
    _show_table(axes[-1], table)
    return figure


def _show_table(axes: Axes, table: Table) -> None:
    axes.set_axis_off()
    drawn = axes.table(
        cellText=[[_cell(table, i, j) for j in range(len(table.columns))] for i in range(len(table.rows))],
        cellColours=_shades(table),
        rowLabels=table.rows,
        colLabels=[f"{c:g}" if isinstance(c, (int, float)) else c for c in table.columns],
        cellLoc="center",
        bbox=(0, 0, 1, 1),
    )
    for cell in drawn.get_celld().values():
        cell.set_edgecolor("#d0d0d0")
    drawn.auto_set_font_size(False)
    drawn.set_fontsize(7.5)


def _cell(table: Table, i: int, j: int) -> str:
    if not np.isfinite(table.mean[i, j]):
        return ""
    spread = table.spread[i, j]
    return f"{table.mean[i, j]:.4g}" + (f" ± {spread:.2g}" if np.isfinite(spread) else "")


def _shades(table: Table) -> np.ndarray:
    own = len(table.rows) - table.printed
    shades = np.ones((len(table.rows), len(table.columns), 4))
    shades[own:] = PRINTED_SHADE
    good = good_end(table.metric)
    for j in range(len(table.columns)):
        values = [v if np.isfinite(v) else None for v in table.mean[:own, j]]
        for i, rank in enumerate(ranks(values, good)):
            if rank is not None:
                shades[i, j] = matplotlib.colormaps["Blues"](0.05 + 0.5 * rank)
    return shades


def show_curves(axes: Axes, table: Table) -> None:
    """A line per row over the table's axis, with bars of one standard deviation; printed values as open marks."""
    x = np.array(table.columns, np.float64)
    own = len(table.rows) - table.printed
    for i, row in enumerate(table.rows):
        known = np.isfinite(table.mean[i])
        colour, (marker, line) = LINES[i % len(LINES)], STYLES[i // len(LINES) % len(STYLES)]
        if i < own:
            bars = np.nan_to_num(table.spread[i][known])
            style = {"color": colour, "marker": marker, "linestyle": line, "markersize": 4, "capsize": 2}
            axes.errorbar(x[known], table.mean[i][known], bars, label=row, **style)
        else:
            axes.plot(x[known], table.mean[i][known], "o", color=colour, markerfacecolor="none", label=row)
    if x.min() > 0 and x.max() / x.min() > 20:
        axes.set_xscale("log")
    axes.set_xlabel(table.axis)
    axes.set_ylabel(heading_of(table.metric))
    axes.legend(frameon=False, ncols=2)
