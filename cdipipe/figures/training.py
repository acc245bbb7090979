"""What a training did: its curves, and what the layers of a network make of a pattern."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from cdipipe.figures.canvas import LINES, new_figure, show_image

CHANNELS = 8
"""Of each layer those that vary most are drawn."""
MOST_LAYERS = 16
"""Of deeper networks that many layers, evenly spread, are drawn."""
MARKERS = (".", "s", "^", "x")
"""One for every round through the colours."""


def training_figure(named: list[tuple[str, Mapping[str, np.ndarray]]]) -> Figure:
    """Losses of one or several trainings against epochs; of one training also its stages and the parts of its loss.

    Parameters
    ----------
    named : list of (label, columns of curve.tsv by name)
    """
    figure, axes = new_figure(1, 2, 4.2, 3.0)
    left, right = axes[0]
    for index, (label, curve) in enumerate(named):
        look, epochs = _look(index), np.arange(1, len(curve["train_loss"]) + 1)
        left.plot(epochs, curve["train_loss"], ":", color=look["color"], linewidth=0.9)
        if "validation_loss" in curve:
            left.plot(epochs, curve["validation_loss"], "-", label=label, markersize=3, **look)
    left.plot([], [], ":", color="#555555", label="on the training samples")
    for epoch in _stage_ends(named[0][1]) if len(named) == 1 else []:
        left.axvline(epoch + 0.5, color="#bbbbbb", linewidth=0.8)
    left.set(xlabel="epoch", ylabel="validation loss")
    left.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    if len(named) > len(LINES):
        figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=5, frameon=False)
    else:
        left.legend(frameon=False)
    if len(named) == 1:
        _show_terms(right, named[0][1])
    else:
        _show_least(right, named)
    return figure


def _look(index: int) -> dict:
    return {"color": LINES[index % len(LINES)], "marker": MARKERS[index // len(LINES) % len(MARKERS)]}


def _stage_ends(curve) -> list[int]:
    stages = list(curve["stage"])
    return [i + 1 for i in range(len(stages) - 1) if stages[i] != stages[i + 1]]


def _show_terms(axes, curve) -> None:
    """Parts of the validation loss, each over its largest value."""
    for index, name in enumerate(n for n in curve if n.startswith("validation_") and n != "validation_loss"):
        values = np.asarray(curve[name], float)
        largest = np.nanmax(np.abs(values))
        shown = f"{name.removeprefix('validation_')} (up to {largest:.3g})"
        axes.plot(np.arange(1, len(values) + 1), values / (largest or 1), color=LINES[index % len(LINES)], label=shown)
    axes.set(xlabel="epoch", ylabel="part of the loss over its largest value", ylim=(0, 1.05))
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.legend(frameon=False)


def _show_least(axes, named) -> None:
    """Samples seen until the least validation loss, and that loss; of stages the last, whose loss is all of it."""
    for index, (_, curve) in enumerate(named):
        if "validation_loss" in curve:
            last = (_stage_ends(curve) or [0])[-1]
            best = last + int(np.nanargmin(curve["validation_loss"][last:]))
            point = float(curve["samples"][best]), float(curve["validation_loss"][best])
            axes.plot(*point, markersize=6, linestyle="", **_look(index))
    axes.set(xlabel="samples seen", ylabel="least validation loss")
    axes.margins(0.25)
    if axes.dataLim.x1 > 10 * axes.dataLim.x0:
        axes.set_xscale("log")
    else:
        axes.xaxis.set_major_locator(MaxNLocator(4))


def activation_figure(layers: list[tuple[str, np.ndarray]], pattern: np.ndarray, title: str) -> Figure:
    """The pattern, and per convolution the channels that vary most, each on its own scale.

    Parameters
    ----------
    layers : list of (label, (C, H, W) or (C, D, H, W) what the layer made); of volumes the middle plane
    pattern : (*grid) photons, below 0 where read noise is
    """
    layers = [layers[i] for i in np.unique(np.linspace(0, len(layers) - 1, MOST_LAYERS).round().astype(int))]
    figure, axes = new_figure(len(layers) + 1, 1, 0.95 * CHANNELS, 0.95)
    for axis in axes.flat:
        axis.set_axis_off()
    show_image(axes[0, 0], _strip([np.log10(np.maximum(_plane(pattern), 0) + 1)]), colorbar=False, cmap="viridis")
    axes[0, 0].set_title("pattern", fontsize=7, pad=2, loc="left")
    for axis, (label, values) in zip(axes[1:, 0], layers, strict=True):
        spread = values.reshape(len(values), -1).std(axis=1)
        chosen = np.argsort(-spread, kind="stable")[:CHANNELS]
        show_image(axis, _strip([_plane(values[channel]) for channel in chosen]), colorbar=False, cmap="magma")
        axis.set_title(f"{label}: {', '.join(map(str, chosen))}", fontsize=6, pad=1, loc="left")
    figure.suptitle(title)
    return figure


def _strip(images: list[np.ndarray]) -> np.ma.MaskedArray:
    """Up to ``CHANNELS`` images side by side, each from 0 to 1, nothing between them and where some are missing.

    One picture of a row is drawn many times faster than one of each image.
    """
    rows, columns = images[0].shape
    gap = max(1, columns // 12)
    strip = np.full((rows, CHANNELS * (columns + gap) - gap), np.nan)
    for index, image in enumerate(images):
        low, high = float(image.min()), float(image.max())
        strip[:, index * (columns + gap) :][:, :columns] = (image - low) / (high - low or 1.0)
    return np.ma.masked_invalid(strip)


def _plane(values: np.ndarray) -> np.ndarray:
    return values[len(values) // 2] if values.ndim == 3 else values
