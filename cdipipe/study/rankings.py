"""Which method comes first where: places in every column of a table, and the mean place of every method."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cdipipe.metrics.registry import good_end
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
    place = np.stack([_places(column, good_end(table.metric)) for column in values.T], -1) if seen.any() else values
    count = np.isfinite(place).sum(1)
    mean = np.array([row[np.isfinite(row)].mean() if n else np.nan for row, n in zip(place, count, strict=True)])
    spread = np.array([row[np.isfinite(row)].std() if n > 1 else np.nan for row, n in zip(place, count, strict=True)])
    order = np.argsort(np.where(np.isfinite(mean), mean, 2.0), kind="stable")
    columns = [
        f"{c:g}" if isinstance(c, float) else str(c) for c, known in zip(table.columns, seen, strict=True) if known
    ]
    parts = (place[order], mean[order], spread[order], count[order], values[order])
    return Ranking(table.metric, table.title, [table.rows[i] for i in order], columns, *parts)


def _places(values: np.ndarray, good: str) -> np.ndarray:
    """Places of one column, (rows,); NaN where there is no value, or no other."""
    place = np.full(len(values), np.nan)
    known = np.flatnonzero(np.isfinite(values))
    if len(known) < 2:  # alone there is nothing to win
        return place
    shown = np.array([float(f"{value:.3g}") for value in values[known]]) * (-1.0 if good == "low" else 1.0)
    better = (shown[None] > shown[:, None]).sum(1) + 0.5 * ((shown[None] == shown[:, None]).sum(1) - 1)
    place[known] = better / (len(known) - 1)
    return place


def ranking_lines(ranking: Ranking) -> str:
    """The mean places as further lines of the table's values."""
    lines = []
    for row, mean, spread, count in zip(ranking.rows, ranking.mean, ranking.spread, ranking.count, strict=True):
        if np.isfinite(mean):
            deviation = f"{spread:.6g}" if np.isfinite(spread) else ""
            lines.append(f"{row}\tall\tplace by {ranking.metric}\t{mean:.6g}\t{deviation}\t{count}")
    return "".join(f"{line}\n" for line in lines)
