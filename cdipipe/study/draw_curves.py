"""Panels of curves: one colour per method, the truth black, the second of two classes dashed."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cdipipe.figures.canvas import LINES, Picture
from cdipipe.study.curves import TRUTH, Curve, Curves

ACROSS = 2
"""Panels beside each other."""


def curves_figure(curves: Curves) -> Figure:
    """All panels on the same axes, with the names of the methods beneath them.

    Parameters
    ----------
    curves : see ``fill_curves``
    """
    panels = curves.panels
    columns = min(ACROSS, len(panels))
    rows = -(-len(panels) // columns)
    figure = Picture(figsize=(max(5.5, 4.4 * columns), 0.4 + 2.9 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
    methods = [name for name in dict.fromkeys(curve.name for curve in curves.curves) if name != TRUTH]
    colours = {TRUTH: "black"} | {name: LINES[index % len(LINES[:-1])] for index, name in enumerate(methods)}
    for panel, place in zip(panels, axes, strict=False):
        _show(place, [curve for curve in curves.curves if curve.panel == panel], colours)
        place.set(title=panel, xlabel=curves.x_label)
        if curves.level is not None:
            place.axhline(curves.level, color="grey", linewidth=0.8, linestyle=":")
    for place in axes[::columns]:
        place.set_ylabel(curves.y_label)
    for place in axes[len(panels) :]:
        place.set_axis_off()
    figure.suptitle(curves.title)
    return figure


def _show(axes: Axes, curves: list[Curve], colours: dict[str, str]) -> None:
    for curve in curves:
        label = None if curve.dashed else " ".join(part for part in (curve.name, curve.note) if part)
        style = {"linestyle": "--" if curve.dashed else "-", "linewidth": 1.6 if curve.name == TRUTH else 1.1}
        axes.plot(curve.x, curve.y, color=colours[curve.name], label=label, **style)
    axes.legend(frameon=False, ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.2))
