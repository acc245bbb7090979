"""What a search for settings tried: the loss over every key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cdipipe.figures.canvas import LINES, Picture

FAINT, BESIDE = "#9a9a9a", 4
"""Colour of what was tried, and panels in a row."""


def tuning_figure(record: Mapping[str, Any]) -> Figure:
    """A panel for the trials in their order and one for each key; the default as a square, what was taken ringed.

    Parameters
    ----------
    record : of the search: ``trials``, ``defaults``, ``settings`` and ``verdict``
    """
    trials, defaults = record["trials"], record["defaults"]
    loss = np.array([trial["loss"] for trial in trials])
    taken = next((n for n, trial in enumerate(trials) if n and trial["settings"] == record["settings"]), 0)
    columns = {"trial": list(range(len(trials)))}
    columns |= {key: [trial["settings"].get(key, default) for trial in trials] for key, default in defaults.items()}
    beside = min(BESIDE, len(columns))
    rows = -(-len(columns) // beside)
    figure = Picture(figsize=(2.4 * beside, 0.5 + 2.1 * rows), layout="constrained")
    panels = figure.subplots(rows, beside, squeeze=False, sharey=True).ravel()
    for axes, (name, values) in zip(panels, columns.items(), strict=False):
        _show(axes, name, values, loss, taken)
    for axes in panels[len(columns) :]:
        axes.set_axis_off()
    figure.supylabel("loss: spread of answers + unexplained light", fontsize=8)
    figure.suptitle(record["verdict"].partition(" (")[0], fontsize=8)
    return figure


def _show(axes: Axes, name: str, values: list, loss: np.ndarray, taken: int) -> None:
    if not all(isinstance(value, (int, float)) for value in values):
        names = list(dict.fromkeys(map(str, values)))
        axes.set_xticks(range(len(names)), names)
        values = [names.index(str(value)) for value in values]
    axes.scatter(values, loss, s=10, color=FAINT)
    axes.scatter(values[:1], loss[:1], s=28, marker="s", color=LINES[0], zorder=3)
    axes.scatter(
        values[taken : taken + 1], loss[taken : taken + 1], s=90, facecolors="none", edgecolors=LINES[1], zorder=4
    )
    axes.set_yscale("log")
    axes.set_xlabel(name, fontsize=8)
