"""Which method comes first where: a heat map of places, and the mean place of every method with its spread."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from cdipipe.figures.canvas import LINES, Picture
from cdipipe.metrics.registry import good_end, heading_of
from cdipipe.study.tables import Table


@dataclass(frozen=True)
class Ranking:
    """Methods in the order of their mean place.

    Parameters
    ----------
    rows, columns : names and headings
    place : (rows, columns) float; 0 the best of its column, 1 the worst, NaN did not take part
    mean, spread : (rows,) mean place and its standard deviation over the columns; ``count`` columns took part
    values : (rows, columns) float; the metric itself
    """

    metric: str
    title: str
    rows: list[str]
    columns: list[str]
    place: np.ndarray
    mean: np.ndarray
    spread: np.ndarray
    count: np.ndarray
    values: np.ndarray


def rank_table(table: Table) -> Ranking:
    """Places in every column: the share of the competitors that are better, ties counted as half.

    Values that are the same as shown, with three digits, are ties. Columns without any value are left out.
    """
    own = len(table.rows) - table.printed
    seen = np.isfinite(table.mean[:own]).any(0)
    values = table.mean[:own][:, seen]
    shown = np.array([float(f"{value:.3g}") for value in values.flat]).reshape(values.shape)
    sign = -1.0 if good_end(table.metric) == "low" else 1.0
    place = np.full(values.shape, np.nan)
    for j in range(values.shape[1]):
        known = np.flatnonzero(np.isfinite(values[:, j]))
        if len(known) < 2:  # alone there is nothing to win
            continue
        column = sign * shown[known, j]
        better = (column[None] > column[:, None]).sum(1) + 0.5 * ((column[None] == column[:, None]).sum(1) - 1)
        place[known, j] = better / (len(known) - 1)
    count = np.isfinite(place).sum(1)
    mean = np.array([np.mean(row[np.isfinite(row)]) if n else np.nan for row, n in zip(place, count, strict=True)])
    spread = np.array([np.std(row[np.isfinite(row)]) if n > 1 else np.nan for row, n in zip(place, count, strict=True)])
    order = np.argsort(np.where(np.isfinite(mean), mean, 2.0), kind="stable")
    columns = [
        f"{c:g}" if isinstance(c, float) else str(c) for c, is_seen in zip(table.columns, seen, strict=True) if is_seen
    ]
    parts = (place[order], mean[order], spread[order], count[order], values[order])
    return Ranking(table.metric, table.title, [table.rows[i] for i in order], columns, *parts)


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


def _show_places(axes, ranking: Ranking) -> None:
    axes.imshow(1 - ranking.place, cmap="Blues", vmin=-0.3, vmax=1.6, aspect="auto", interpolation="nearest")
    for (i, j), value in np.ndenumerate(ranking.values):
        if np.isfinite(value):
            axes.text(j, i, f"{value:.3g}", ha="center", va="center", fontsize=6.5)
    axes.set_yticks(range(len(ranking.rows)), ranking.rows)
    axes.set_xticks(range(len(ranking.columns)), ranking.columns, rotation=60, ha="right", rotation_mode="anchor")
    axes.set_title("the darker, the better; empty: lacks what the method needs")


def ranking_lines(ranking: Ranking) -> str:
    """The mean places as further lines of the table's values."""
    lines = []
    for row, mean, spread, count in zip(ranking.rows, ranking.mean, ranking.spread, ranking.count, strict=True):
        if np.isfinite(mean):
            deviation = f"{spread:.6g}" if np.isfinite(spread) else ""
            lines.append(f"{row}\tall\tplace by {ranking.metric}\t{mean:.6g}\t{deviation}\t{count}")
    return "".join(f"{line}\n" for line in lines)
