"""The curves behind a resolution that is told without a truth."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from cdipipe.figures.canvas import LINES, OF_CURVES, new_figure

FAINT = "#8a8a8a"
SHOWN = {
    "resolution_noise": ("limit by counting noise", FAINT, "--"),
    "resolution_twins": ("twins: simulated from the result", LINES[4], "-"),
    "resolution_starts": ("other starts", LINES[5], "-"),
    "prtf": ("PRTF", LINES[2], "-"),
    "resolution": ("estimate of the correlation with the truth", LINES[0], "-"),
}
CONES = {
    "resolution_z": ("along z", LINES[1]),
    "resolution_y": ("along y", LINES[2]),
    "resolution_x": ("along x", LINES[3]),
}


def resolution_without_truth(curves: Mapping[str, np.ndarray], numbers: Mapping[str, float]) -> Figure:
    """Estimated FRC or FSC with what it is made of, PRTF and noise limit; of a volume also along its three axes.

    Parameters
    ----------
    curves, numbers : of :func:`cdipipe.uncertainty.resolution.resolve`
    """
    panels = 2 if CONES.keys() <= curves.keys() else 1
    figure, axes = new_figure(1, panels, 4.4, 3.4, OF_CURVES)
    first = axes[0, 0]
    for name, (label, colour, style) in SHOWN.items():
        if name in curves:
            width = 1.8 if name == "resolution" else 0.9
            first.plot(curves["frequency"], curves[name], color=colour, linestyle=style, linewidth=width, label=label)
    if "prtf_threshold" in curves:
        first.axhline(float(curves["prtf_threshold"]), color=LINES[2], linestyle=":", linewidth=0.9, label="1/e")
    first.set_title(f"resolution {numbers['resolution_px']:.3g} px")
    if panels == 2:
        axes[0, 1].plot(
            curves["frequency"], curves["resolution"], color=LINES[0], linewidth=1.8, label="all directions"
        )
        for name, (label, colour) in CONES.items():
            label = f"{label}: {numbers[f'{name}_px']:.3g} px"
            axes[0, 1].plot(curves["frequency"], curves[name], color=colour, linewidth=0.9, label=label)
        axes[0, 1].set_title("within 45° of each axis")
    for ax in axes.flat:
        threshold = float(curves["threshold"])
        ax.axhline(threshold, color="#555555", linestyle=":", linewidth=0.9, label=f"threshold {threshold:.3g}")
        ax.set(xlim=(0, 0.5), ylim=(-0.05, 1.08), xlabel="spatial frequency (1 / object px)")
        ax.legend(frameon=False, loc="best")
    return figure
