"""Objects of several methods side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cdipipe.figures.canvas import Margins, name_rows, new_figure, show_image
from cdipipe.figures.objects import PHASE_FLOOR, crop_box, phase_limit
from cdipipe.metrics.image import psnr_db
from cdipipe.study.objects import PatternObjects

WIDEST = 9
"""Objects beside each other; of more methods a row takes several lines, without gaps."""
AROUND = Margins(left=0.22, right=0.05, below=0.05, above=0.35, head=0.3)
Cell = tuple[str, np.ndarray | None]
"""Title and object, if there is one."""


@dataclass(frozen=True)
class _Line:
    label: str
    cells: list[Cell]
    pattern: PatternObjects


def gallery_figure(rows: Mapping[str, PatternObjects], methods: list[str], title: str, phase: bool = False) -> Figure:
    """Objects side by side, each row on the scale of its truth (or of its first object).

    Parameters
    ----------
    rows : label -> objects of one pattern
    methods : order of the columns
    phase : the phase instead of the amplitude
    """
    known = any(pattern.truth is not None for pattern in rows.values())
    lines = [line for label, pattern in rows.items() for line in _lines(label, pattern, methods, known)]
    figure, axes = new_figure(len(lines), max(len(line.cells) for line in lines), 1.7, 1.8, AROUND)
    for places, line in zip(axes, lines, strict=True):
        _show_line(places, line, phase)
    figure.suptitle(title)
    return figure


def _lines(label: str, pattern: PatternObjects, methods: list[str], known: bool) -> list[_Line]:
    """One line of a row, or as many as hold all that it has."""
    cells: list[Cell] = [("truth", pattern.truth)] if known else []
    cells += [(_titled(pattern, method), pattern.objects.get(method)) for method in methods]
    if len(cells) <= WIDEST:
        return [_Line(label, cells, pattern)]
    cells = [cell for cell in cells if cell[1] is not None]
    return [_Line("" if i else label, cells[i : i + WIDEST], pattern) for i in range(0, len(cells), WIDEST)]


def _titled(pattern: PatternObjects, method: str) -> str:
    """The method and, where the truth is known, the PSNR of its amplitude."""
    truth, support = pattern.truth, pattern.support
    if truth is None or method not in pattern.objects or not support.any():
        return method
    quality = psnr_db(np.abs(truth[support]), np.abs(pattern.objects[method][support]))
    return method if quality is None else f"{method}\n{quality:.1f} dB"


def _show_line(places: np.ndarray, line: _Line, phase: bool) -> None:
    of_truth = line.pattern.truth is not None
    box = crop_box(line.pattern.support, 0.1 if of_truth else 0.5)  # of others than the truth some are larger
    limit = float(np.abs(line.pattern.first[box]).max()) or 1.0
    for axis in places:
        axis.spines[:].set_visible(False)
        axis.set(xticks=[], yticks=[])
    name_rows(places[None], [line.label])
    for axis, (name, values) in zip(places, line.cells, strict=False):
        if values is not None:
            axis.spines[:].set_visible(True)
            show_object(axis, values[box], limit, phase)
            axis.set_title(name, fontsize=8)


def show_object(axes: Axes, values: np.ndarray, limit: float, phase: bool) -> None:
    """Amplitude from 0 to ``limit``, or the phase where the amplitude is not small."""
    if phase:
        span = phase_limit(values)
        shown = np.ma.masked_array(np.angle(values), np.abs(values) < PHASE_FLOOR * limit)
        show_image(axes, shown, colorbar=False, ticks=False, cmap="twilight_shifted", vmin=-span, vmax=span)
    else:
        show_image(axes, np.abs(values), colorbar=False, ticks=False, cmap="gray", vmin=0, vmax=limit)
