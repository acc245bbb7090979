"""Figures over many reconstructions: tables with a paper's values beside, curves over a parameter, galleries."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from cdipipe.figures.canvas import LINES, Picture, new_figure, show_image
from cdipipe.figures.objects import PHASE_FLOOR, crop_box, phase_limit
from cdipipe.figures.tables import ranks
from cdipipe.metrics.image import psnr_db
from cdipipe.metrics.registry import good_end, heading_of
from cdipipe.study.tables import Table

STYLES = (("o", "-"), ("s", "--"), ("^", ":"))
"""Marks and lines of the first methods, and of those beyond the number of colours."""
PRINTED_SHADE = (0.94, 0.94, 0.94, 1.0)
WIDEST = 9
"""Objects beside each other in a gallery; of more methods a row takes several lines, without gaps."""


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


def _show_table(axes, table: Table) -> None:
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


def show_curves(axes, table: Table) -> None:
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


def gallery_figure(rows, methods: list[str], title: str, phase: bool = False) -> Figure:
    """Objects side by side, each row on the scale of its truth (or of its first object).

    Parameters
    ----------
    rows : list of (label, truth or None, object that sets the scale, its support, {method: object})
        Arrays (H, W), all objects laid over the truth, or over the first of them.
    methods : order of the columns
    """
    known = any(truth is not None for _, truth, *_ in rows)
    lines = [line for row in rows for line in _lines(_cells(row, methods, known), row)]
    figure, axes = new_figure(len(lines), max(len(cells) for cells, *_ in lines), width=1.7, height=1.75)
    for line, (cells, label, truth, scale, support) in zip(axes, lines, strict=True):
        box = crop_box(support, 0.1 if truth is not None else 0.5)  # of others than the truth some are larger
        limit = float(np.abs(scale[box]).max()) or 1.0
        for axis in line:
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_visible(False)
        line[0].set_ylabel(label)
        for axis, (name, values) in zip(line, cells, strict=False):
            if values is not None:
                axis.spines[:].set_visible(True)
                _show(axis, values[box], limit, phase)
                axis.set_title(name, fontsize=8)
    figure.suptitle(title)
    return figure


def _cells(row, methods: list[str], known: bool) -> list[tuple]:
    """Title and object (or None) of the truth and of every method, in the order of the columns."""
    _, truth, _, support, objects = row
    cells = [("truth", truth)] if known else []
    for method in methods:
        values, name = objects.get(method), method
        if truth is not None and values is not None:
            quality = psnr_db(np.abs(truth[support]), np.abs(values[support])) if support.any() else None
            name += f"\n{quality:.1f} dB" if quality is not None else ""
        cells.append((name, values))
    return cells


def _lines(cells: list[tuple], row) -> list[tuple]:
    """Cells, label, truth, scale and support of each line: one for a row, or as many as hold all that it has."""
    label, *rest, _ = row
    if len(cells) <= WIDEST:
        return [(cells, label, *rest)]
    cells = [cell for cell in cells if cell[1] is not None]
    return [(cells[i : i + WIDEST], label if i == 0 else "", *rest) for i in range(0, len(cells), WIDEST)]


def _show(axes, values: np.ndarray, limit: float, phase: bool) -> None:
    if phase:
        span = phase_limit(values)
        shown = np.ma.masked_array(np.angle(values), np.abs(values) < PHASE_FLOOR * limit)
        show_image(axes, shown, colorbar=False, cmap="twilight_shifted", vmin=-span, vmax=span)
    else:
        show_image(axes, np.abs(values), colorbar=False, cmap="gray", vmin=0, vmax=limit)
    axes.set(xticks=[], yticks=[], xlabel="")


FRC_HALVES = 1 / 7
"""0.143: the threshold between two independent halves of the data; against a known truth it corresponds to 0.5."""


def resolution_figure(named: list[tuple[str, Mapping[str, np.ndarray]]]) -> Figure:
    """FRC with the truth and PRTF of several methods, each in one panel, with their thresholds."""
    kinds = [kind for kind in ("frc", "fsc", "prtf") if any(kind in curves for _, curves in named)]
    figure, axes = new_figure(1, max(len(kinds), 1), 4.2, 3.0)
    for axis, kind in zip(axes[0], kinds, strict=False):
        for index, (name, curves) in enumerate(named):
            if kind in curves:
                shown = curves.get(f"{kind}_smooth", curves[kind])
                axis.plot(curves[f"{kind}_frequency"], shown, color=LINES[index % len(LINES)], label=name)
                threshold = float(curves[f"{kind}_threshold"])
        axis.axhline(threshold, color="#555555", linestyle=":", label=f"{threshold:.3g}")
        if kind != "prtf":
            axis.axhline(FRC_HALVES, color="#aaaaaa", linestyle="--", label="0.143 (between halves)")
        axis.set(xlim=(0, 0.5), ylim=(-0.05, 1.08), xlabel="spatial frequency (1 / object px)")
        axis.set_title({"frc": "FRC with truth", "fsc": "FSC with truth", "prtf": "PRTF"}[kind])
        axis.legend(frameon=False)
    if not kinds:
        axes[0, 0].set_axis_off()
        axes[0, 0].text(0.5, 0.5, "no resolution curves", ha="center", va="center")
    return figure
