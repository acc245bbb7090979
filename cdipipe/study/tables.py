"""Tables of a study: one metric of some methods over some measurements, with what a paper prints beside it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cdipipe.io.metrics_file import read_metrics
from cdipipe.metrics.registry import get_metric
from cdipipe.study.config import Config
from cdipipe.study.figure_entries import TableEntry


@dataclass(frozen=True)
class Table:
    """Mean, spread and number of patterns of every cell; NaN (and 0 patterns) where nothing was run or printed.

    Parameters
    ----------
    rows, columns : names and headings; rows of printed values come last
    mean, spread, count : (rows, columns) float; spread is the standard deviation over all patterns of a cell
    printed : number of rows at the end that a paper printed
    """

    metric: str
    title: str
    rows: list[str]
    columns: list[str | float]
    mean: np.ndarray
    spread: np.ndarray
    count: np.ndarray
    printed: int
    axis: str | None = None


def fill_table(study: Config, name: str) -> Table:
    """A table of the study from the metrics.json files in its output folder.

    Raises
    ------
    InputError   no such table, or a metrics.json is missing or damaged
    """
    entry = study.tables[name]
    methods, columns = study.rows_of(entry), list(entry.columns)
    wanted = entry.metrics, files_of_table(entry)
    cells = [[_cell(study, method, entry.members(heading), *wanted) for heading in columns] for method in methods]
    for values in entry.printed.values():
        cells.append([(values.get(heading, np.nan), np.nan, 0) for heading in columns])
    mean, spread, count = _stacked(cells, len(columns))
    rows = [*methods, *(f"{row} (printed)" for row in entry.printed)]
    return Table(
        entry.metrics[-1], entry.title or name, rows, columns, mean, spread, count, len(entry.printed), entry.axis
    )


def fill_sweep(study: Config, name: str) -> list[Table]:
    """Tables of a sweep: a row per measurement, a column per value; the free likelihood, and what the truth tells.

    Raises
    ------
    InputError   no such sweep, or a metrics.json is missing or damaged
    """
    entry = study.sweeps[name]
    pairs = study.pairs_of(entry)
    rows = list(dict.fromkeys(measurement for measurement, _ in pairs))
    axis = entry.key if all(isinstance(value, float) for value in entry.values) else None
    found = []
    for metric in ("poisson_nll_free", "complex_correlation"):
        cells = [[_cell(study, method, [row], [metric], ["metrics.json"]) for method in entry.methods] for row in rows]
        table = Table(metric, entry.title or name, rows, entry.values, *_stacked(cells, len(entry.values)), 0, axis)
        found += [table] if table.count.any() else []
    return found


def _stacked(cells: list, columns: int) -> np.ndarray:
    """(3, rows, columns): means, spreads and numbers of patterns."""
    return np.moveaxis(np.array(cells, np.float64).reshape(len(cells), columns, 3), -1, 0)


def files_of_table(entry: TableEntry) -> list[str]:
    """Files beside each result that hold the metrics of a table."""
    of_crystals = any(get_metric(metric).of == "crystal" for metric in entry.metrics)
    return ["metrics.json", *["strain.json"] * of_crystals]


def _cell(
    study: Config, method: str, members: list[str], wanted: list[str], files: list[str]
) -> tuple[float, float, float]:
    """Mean, standard deviation and number of patterns of one method over some measurements: of the first metric."""
    pairs = set(study.pairs())
    parts = []
    for measurement in members:
        if (measurement, method) not in pairs:
            continue
        place = Path(study.output) / measurement / method
        metrics = {name: value for file in files for name, value in read_metrics(place / file).items()}
        metric = next((name for name in wanted if isinstance(metrics.get(name), (int, float))), None)
        if metric is not None:
            parts.append((metrics[metric], metrics.get(f"{metric}_std", np.nan), metrics.get("patterns", 1)))
    if not parts:
        return np.nan, np.nan, 0
    means, spreads, counts = np.array(parts, np.float64).T
    mean = np.average(means, weights=counts)
    # of all patterns together; what was measured once for all of them, as a batch's seconds, has none of its own
    variance = np.average(np.nan_to_num(spreads) ** 2 + (means - mean) ** 2, weights=counts)
    known = counts.sum() > 1 and (len(parts) > 1 or bool(np.isfinite(spreads).any()))
    return float(mean), float(np.sqrt(variance)) if known else np.nan, float(counts.sum())


def write_tsv(table: Table) -> str:
    """The table as tab-separated text: a line per cell that has a value."""
    lines = ["row\tcolumn\tmetric\tmean\tspread\tpatterns"]
    for i, row in enumerate(table.rows):
        for j, column in enumerate(table.columns):
            if np.isfinite(table.mean[i, j]):
                spread = f"{table.spread[i, j]:.6g}" if np.isfinite(table.spread[i, j]) else ""
                cell = f"{table.mean[i, j]:.6g}\t{spread}\t{table.count[i, j]:.0f}"
                lines.append(f"{row}\t{column}\t{table.metric}\t{cell}")
    return "\n".join(lines) + "\n"
