"""Distributions of a study: one metric of every pattern by several methods, and whether the methods differ."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cdipipe.io.metrics_file import read_curves, read_metrics
from cdipipe.metrics.registry import good_end
from cdipipe.metrics.statistics import compare_paired
from cdipipe.study.config import Config


@dataclass(frozen=True)
class Distribution:
    """A metric of the same patterns by each method.

    Parameters
    ----------
    places : (measurement, index of the pattern) of every pattern
    values : method -> (patterns,) float64, NaN where the method was not run or has no such metric
    """

    metric: str
    title: str
    places: list[tuple[str, int]]
    values: dict[str, np.ndarray]

    def comparisons(self) -> dict[tuple[str, str], dict[str, float]]:
        """Tests between any two methods, see ``compare_paired``."""
        pairs = itertools.combinations(self.values, 2)
        return {(a, b): compare_paired(self.values[a], self.values[b]) for a, b in pairs}


def fill_distribution(study: Config, name: str) -> Distribution:
    """A distribution of the study from the curves.npz and metrics.json files in its output folder.

    Raises
    ------
    InputError   a file is missing or damaged
    """
    entry = study.distributions[name]
    methods, pairs = study.rows_of(entry), set(study.pairs())
    places, columns = [], {method: [] for method in methods}
    for measurement in entry.measurements:
        found = {
            method: _read(Path(study.output) / measurement / method, entry.metric)
            for method in methods
            if (measurement, method) in pairs
        }
        count = max(map(len, found.values()), default=0)
        places += [(measurement, index) for index in range(count)]
        for method in methods:
            columns[method].append(found.get(method, np.full(count, np.nan)))
    values = {method: np.concatenate(parts) for method, parts in columns.items()}
    return Distribution(entry.metric, entry.title or name, places, values)


def _read(folder: Path, metric: str) -> np.ndarray:
    """A metric of every pattern of a stack or frame of a movie, or of the one pattern there is."""
    curves = read_curves(folder / "curves.npz")
    for name in (f"pattern_{metric}", f"movie_{metric}"):
        if name in curves:
            return curves[name]
    metrics = read_metrics(folder / "metrics.json")
    count = int(metrics.get("patterns", 1))
    return np.full(count, np.nan) if count > 1 else np.array([metrics.get(metric, np.nan)], float)


def best_and_worst(distribution: Distribution, count: int) -> tuple[list[int], list[int]]:
    """Numbers of the patterns that the first method did best and worst, the extremes first."""
    values = next(iter(distribution.values.values()))
    good = good_end(distribution.metric)
    order = np.argsort(values if good == "low" else -values, kind="stable")
    order = [int(index) for index in order if np.isfinite(values[index])]
    count = min(count, len(order) // 2)
    return order[:count], order[::-1][:count]


def write_distribution(distribution: Distribution) -> str:
    """Tab-separated text: mean, spread, quartiles and ends of each method, then the tests between any two of them."""
    lines = ["method\tmetric\tpatterns\tmean\tspread\tquartile_1\tmedian\tquartile_3\tleast\tlargest"]
    for method, values in distribution.values.items():
        known = values[np.isfinite(values)]
        if len(known):
            numbers = [known.mean(), known.std(), *np.quantile(known, [0.25, 0.5, 0.75, 0, 1])]
            lines.append("\t".join([method, distribution.metric, str(len(known)), *(f"{n:.6g}" for n in numbers)]))
    comparisons = distribution.comparisons()
    if comparisons:
        lines.append("first\tsecond\tpatterns\tmedian_difference\tmann_whitney_p\tsuperiority\twilcoxon_p")
    for (first, second), found in comparisons.items():
        lines.append("\t".join([first, second, *(f"{number:.6g}" for number in found.values())]))
    return "\n".join(lines) + "\n"
