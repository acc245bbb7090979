"""Contact sheet of a corpus: patterns, amplitudes and phases of some of its samples."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from cdipipe.figures.canvas import Margins, name_rows, new_figure, show_image
from cdipipe.figures.objects import crop_box, phase_limit, show_pattern

PHASE_FLOOR = 0.05


def contact_sheet(samples: list[dict[str, np.ndarray]], title: str) -> Figure:
    """Three rows: intensity, amplitude, phase; one column per sample. A fourth for pictures that a scene drew.

    Parameters
    ----------
    samples : ``number`` and arrays ``intensity``, ``object``, ``support``, ``measured`` of each, (H, W); perhaps
        ``extra_picture``, (H, W, 3)
    """
    drawn = any(sample.get("extra_picture", np.zeros(1)).any() for sample in samples)
    figure, axes = new_figure(
        4 if drawn else 3, len(samples), 1.85, 1.45, Margins(left=0.25, right=0.45, below=0.08, above=0.22, head=0.3)
    )
    limit = max(phase_limit(sample["object"]) for sample in samples)
    for column, plane in enumerate(samples):
        show_pattern(axes[0, column], plane["intensity"], plane["measured"], f"sample {plane['number']}", ticks=False)
        box = crop_box(plane["support"])
        image = plane["object"][box]
        amplitude = np.abs(image)
        hidden = amplitude <= PHASE_FLOOR * amplitude.max()
        show_image(axes[1, column], amplitude, ticks=False, cmap="viridis", vmin=0)
        phase = np.ma.masked_array(np.angle(image), hidden)
        show_image(axes[2, column], phase, ticks=False, cmap="twilight_shifted", vmin=-limit, vmax=limit)
        if drawn:
            if plane["extra_picture"].any():
                axes[3, column].imshow(plane["extra_picture"])
            axes[3, column].set_axis_off()
    name_rows(axes[:3], ("intensity", "amplitude", "phase, rad"))
    figure.suptitle(title)
    return figure


def middle_plane(array: np.ndarray) -> np.ndarray:
    """A (H, W) array itself; of frames or planes the middle one."""
    return array if array.ndim == 2 else array[len(array) // 2]
