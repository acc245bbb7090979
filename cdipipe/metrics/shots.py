"""Everything that is known of each shot of a stack without its truth: one row for each, to sort and to choose from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from cdipipe.errors import InputError
from cdipipe.measurement import Measurement, Reconstruction
from cdipipe.metrics.cases import WholeCase
from cdipipe.metrics.evaluate import judge_patterns
from cdipipe.metrics.hits import find_hits
from cdipipe.metrics.trust import verdict_of

OF_PATTERN = ("r_factor", "r_factor_free", "nll_over_noise", "agreement", "repeatability")
"""Metrics of each pattern that a row has, where there are withheld pixels and runs."""


@dataclass(frozen=True)
class Column:
    """One column of the table.

    Parameters
    ----------
    name, meaning : of it
    values : one for each shot; text, or numbers that are NaN where there is none
    """

    name: str
    meaning: str
    values: np.ndarray


def table_of(
    measurement: Measurement, result: Reconstruction | None = None, progress: Callable | None = None
) -> list[Column]:
    """Columns of the table of shots.

    Parameters
    ----------
    measurement : Measurement of a stack of shots
    result : Reconstruction of it; without one the columns of the patterns alone
    progress : callable that wraps an iterable, optional

    Raises
    ------
    InputError   no stack of shots, or the two do not fit
    """
    if measurement.stack != "shots":
        raise InputError(f"a table of shots is of a stack of shots; this measurement is a {measurement.stack}")
    columns = _of_patterns(measurement)
    return columns if result is None else columns + _of_results(measurement, result, progress)


def _of_patterns(measurement: Measurement) -> list[Column]:
    numbers = Column("shot", "number of the shot, from 0", np.arange(measurement.pattern_count))
    hits = find_hits(measurement)
    if hits is None:
        totals = np.where(measurement.measured, measurement.intensity, 0).sum((1, 2), dtype=float)
        return [numbers, Column("photons", "photons on the measured pixels", totals)]
    return [
        numbers,
        Column("kind", "single, multiple, weak or blank, judged by the pattern", hits.kind),
        Column("score", "how clear a single hit it is: above 0 for single hits", hits.score),
        Column("photons", "photons on the measured pixels", hits.photons),
        Column("photons_per_pixel", "photons above background for each pixel of the typical object", hits.per_pixel),
        Column("beyond", "autocorrelation beyond one object, in robust standard deviations", hits.beyond),
    ]


def _of_results(measurement: Measurement, result: Reconstruction, progress: Callable | None) -> list[Column]:
    from cdipipe.metrics.evaluate import check_shapes
    from cdipipe.metrics.registry import get_metric

    check_shapes(result, measurement, None)
    rows, _, doubts = judge_patterns(WholeCase(result, measurement), progress)
    columns = []
    for name in OF_PATTERN:
        values = np.array([row.get(name, np.nan) for row in rows], float)
        if np.isfinite(values).any():
            columns.append(Column(name, get_metric(name).meaning, values))
    return [
        *columns,
        Column("size_px", "pixels of the support", result.support.sum((1, 2)).astype(float)),
        Column(
            "sharpness", "A sum |u|^4 / (sum |u|^2)^2 over the A pixels of the support: 1 if flat", _sharpness(result)
        ),
        Column("verdict", "of the result: plausible, doubtful or bad", np.array([verdict_of(d) for d in doubts])),
    ]


def _sharpness(result: Reconstruction) -> np.ndarray:
    """Of each object; NaN where there is none.

    References
    ----------
    Ulvestad et al., Sci. Rep. 5, 10174 (2015), take sum |u|^4 to choose among results
    """
    power = np.where(result.support, np.abs(result.object).astype(float) ** 2, 0)
    energy = power.sum((1, 2)) ** 2
    area = result.support.sum((1, 2))
    return np.divide(area * (power**2).sum((1, 2)), energy, out=np.full(len(energy), np.nan), where=energy > 0)


def as_tsv(columns: list[Column]) -> str:
    """The table as tab-separated text, a line for each shot; what is not known is empty.

    Parameters
    ----------
    columns : of :func:`table_of`
    """
    lines = ["\t".join(column.name for column in columns)]
    lines += ["\t".join(map(text_of, row)) for row in zip(*(column.values for column in columns), strict=True)]
    return "\n".join(lines) + "\n"


def text_of(value) -> str:
    """One value of the table as text.

    Parameters
    ----------
    value : text, integer or number
    """
    if isinstance(value, str):
        return str(value)
    return "" if np.isnan(value) else f"{value:.6g}" if isinstance(value, np.floating) else str(value)
