"""Metrics of several reconstructions as one table whose colours rank every column."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib
import numpy as np
from matplotlib.figure import Figure

COLUMNS = {
    "r_factor": ("R-factor", "low"),
    "r_factor_free": ("free R", "low"),
    "chi2": ("chi²", "low"),
    "poisson_nll": ("NLL", "low"),
    "complex_correlation": ("correlation", "high"),
    "ssim": ("SSIM", "high"),
    "psnr_db": ("PSNR (dB)", "high"),
    "pcc": ("PCC", "high"),
    "phase_rmse_rad": ("phase RMSE (rad)", "low"),
    "frc_resolution_px": ("FRC 0.5 (px)", "low"),
    "prtf_resolution_px": ("PRTF 1/e (px)", "low"),
    "repeatability": ("repeatability", "high"),
    "seconds": ("seconds", "low"),
}
"""Shown metrics in order, their headings, and which end is good."""


def ranks(values: list[float | None], good: str) -> list[float | None]:
    """0 (worst) to 1 (best) for every known value of a column; equal values rank alike."""
    known = sorted({v for v in values if v is not None}, reverse=good == "low")
    scale = max(1, len(known) - 1)
    return [None if v is None else (known.index(v) / scale if len(known) > 1 else 0.5) for v in values]


def shown_columns(rows: list[Mapping]) -> list[str]:
    """The metrics that at least one row has, in the order of :data:`COLUMNS`."""
    return [key for key in COLUMNS if any(isinstance(row.get(key), (int, float)) for row in rows)]


def metrics_figure(named: list[tuple[str, Mapping]]) -> Figure:
    """Rows are reconstructions, columns metrics; the darker a cell, the better in its column."""
    keys = shown_columns([metrics for _, metrics in named])
    figure = Figure(figsize=(2.4 + 0.95 * max(1, len(keys)), 0.6 + 0.28 * len(named)), layout="constrained")
    axes = figure.subplots()
    axes.set_axis_off()
    cells = [[_text(metrics.get(key)) for key in keys] for _, metrics in named]
    shades = np.full((len(named), len(keys), 4), 1.0)
    colours = matplotlib.colormaps["Blues"]
    for column, key in enumerate(keys):
        values = [metrics.get(key) for _, metrics in named]
        for row, rank in enumerate(ranks(values, COLUMNS[key][1])):
            if rank is not None:
                shades[row, column] = colours(0.05 + 0.5 * rank)
    table = axes.table(
        cellText=cells or [[""]],
        cellColours=shades if keys else None,
        rowLabels=[name for name, _ in named],
        colLabels=[COLUMNS[key][0] for key in keys] or ["no metrics"],
        loc="center",
        cellLoc="center",
    )
    table.auto_set_font_size(False)
    table.set_fontsize(7.5)
    return figure


def _text(value) -> str:
    return f"{value:.3g}" if isinstance(value, (int, float)) else ""
