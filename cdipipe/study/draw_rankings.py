"""A heat map of places, and the mean place of every method with its spread."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cdipipe.figures.canvas import LINES, Picture
from cdipipe.metrics.registry import heading_of
from cdipipe.study.rankings import Ranking


def ranking_figure(ranking: Ranking) -> Figure:
    """Heat map of places with the values in it, and beside it the mean places with bars of one standard deviation."""
    rows, columns = len(ranking.rows), len(ranking.columns)
    size = (3.6 + 0.55 * columns + 2.2, 1.7 + 0.3 * rows)
    figure = Picture(figsize=size, layout="constrained")
    heat, points = figure.subplots(1, 2, width_ratios=[max(0.55 * columns, 1.0), 2.2], sharey=True)
    _show_places(heat, ranking)
    y = np.arange(rows)
    known = np.isfinite(ranking.mean)
    often = ranking.count * 2 >= columns
    for chosen, face in ((known & often, LINES[0]), (known & ~often, "white")):
        bars = np.nan_to_num(ranking.spread[chosen])
        style = {"fmt": "o", "color": LINES[0], "markerfacecolor": face, "capsize": 3}
        points.errorbar(ranking.mean[chosen], y[chosen], xerr=bars, **style)
    points.set(
        xlim=(-0.05, 1.15), xlabel="mean place (0 best)", title="± deviation; hollow: in less\nthan half of the columns"
    )
    for row, count in zip(y[known], ranking.count[known], strict=True):
        points.text(1.13, row, f"{count}", va="center", ha="right", fontsize=7, color="#555555")
    figure.suptitle(f"{ranking.title}: {heading_of(ranking.metric)}")
    return figure


def _show_places(axes: Axes, ranking: Ranking) -> None:
    axes.imshow(1 - ranking.place, cmap="Blues", vmin=-0.3, vmax=1.6, aspect="auto", interpolation="nearest")
    for (i, j), value in np.ndenumerate(ranking.values):
        if np.isfinite(value):
            axes.text(j, i, f"{value:.3g}", ha="center", va="center", fontsize=6.5)
    axes.set_yticks(range(len(ranking.rows)), ranking.rows)
    axes.set_xticks(range(len(ranking.columns)), ranking.columns, rotation=60, ha="right", rotation_mode="anchor")
    axes.set_title("the darker, the better; empty: lacks what the method needs")
