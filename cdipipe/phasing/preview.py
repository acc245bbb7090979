"""A picture of the first restart while it runs: amplitude, phase and error trace."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cdipipe.io.atomic import atomic_path
from cdipipe.optics import fourier


def preview_writer(path: Path):
    """A callback for ``reconstruct`` that redraws the PNG at ``path``."""

    def write(problem, state, done):
        from matplotlib.figure import Figure

        wave = fourier.to_centre(state.exit_wave[0], problem.ndim).cpu().numpy()
        support = fourier.to_centre(state.support[0], problem.ndim).cpu().numpy()
        if wave.ndim == 3:
            wave, support = wave[wave.shape[0] // 2], support[support.shape[0] // 2]
        figure = Figure(figsize=(10, 3.4), layout="constrained")
        amplitude, phase, trace = figure.subplots(1, 3)
        amplitude.imshow(np.abs(wave), cmap="gray")
        amplitude.set_title("modulus")
        phase.imshow(np.where(support, np.angle(wave), np.nan), cmap="twilight", vmin=-np.pi, vmax=np.pi)
        phase.set_title("phase in the support")
        trace.plot(state.error_trace[0, : state.done].cpu().numpy())
        trace.set(title=f"R-factor, iteration {done}", xlabel="iteration", ylim=(0, None))
        with atomic_path(path) as part:
            figure.savefig(part, format="png", dpi=80)

    return write
