"""One metric of every pattern: histograms of several methods, tests between them, best and worst objects."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from cdipipe.figures.canvas import LINES, Picture, show_image
from cdipipe.figures.objects import PHASE_FLOOR, crop_box, phase_limit
from cdipipe.metrics.registry import good_end, heading_of
from cdipipe.study.distributions import Distribution

BINS = 30
LEAST_PROBABILITY = 1e-300  # below it numbers end


def best_and_worst(distribution: Distribution, count: int) -> tuple[list[int], list[int]]:
    """Numbers of the patterns that the first method did best and worst, the extremes first."""
    values = next(iter(distribution.values.values()))
    good = good_end(distribution.metric)
    order = np.argsort(values if good == "low" else -values, kind="stable")
    order = [int(index) for index in order if np.isfinite(values[index])]
    count = min(count, len(order) // 2)
    return order[:count], order[::-1][:count]


def distribution_figure(distribution: Distribution, best, worst, phase: bool = False) -> Figure:
    """Histograms above, then a row each of true and found objects, best and worst.

    Parameters
    ----------
    best, worst : lists of (value, truth or None, its support, object) of the first method, arrays (H, W)
    """
    tests, columns = distribution.comparisons(), max(len(best), len(worst))
    heights = [3.0 + 0.17 * len(tests), 6.0 if columns else 0.0]
    figure = Picture(figsize=(max(6.4, 1.5 * columns), sum(heights)), layout="constrained")
    figure.suptitle(distribution.title)
    upper, lower = figure.subfigures(2, 1, height_ratios=heights) if columns else (figure, None)
    show_histograms(upper.subplots(), distribution, tests)
    if lower is not None:
        axes = lower.subplots(4, columns, squeeze=False)
        for lines, label, items in ((axes[:2], "best", best), (axes[2:], "worst", worst)):
            _show_pairs(lines, label, items, phase)
    return figure


def show_histograms(axes, distribution: Distribution, tests) -> None:
    """Outlines of the methods' histograms with their means; below them the tests."""
    known = {method: v[np.isfinite(v)] for method, v in distribution.values.items()}
    together = np.concatenate([*known.values(), np.zeros(0)])
    if len(together):
        edges = np.histogram_bin_edges(together, BINS)
        for index, (method, values) in enumerate(known.items()):
            label = f"{method}: {values.mean():.4g} ± {values.std():.2g}" if len(values) else f"{method}: none"
            axes.hist(values, edges, histtype="step", color=LINES[index % len(LINES)], label=label)
        axes.legend(frameon=False)
    lines = [
        f"{a} - {b}: median {t['difference']:+.3g}, Mann-Whitney {_probability(t['mann_whitney_p'])}, "
        f"Wilcoxon {_probability(t['wilcoxon_p'])}"
        for (a, b), t in tests.items()
        if t["patterns"]
    ]
    axes.set_xlabel("\n".join([heading_of(distribution.metric), *lines]))
    axes.set_ylabel("patterns")


def _probability(value: float) -> str:
    return f"p {value:.2g}" if value >= LEAST_PROBABILITY else f"p < {LEAST_PROBABILITY:g}"


def _show_pairs(lines, label: str, items, phase: bool) -> None:
    """Truths in the upper, objects in the lower of two lines of axes."""
    from cdipipe.metrics.align import align_to

    for axis in lines.flat:
        axis.set(xticks=[], yticks=[])
        axis.set_axis_off()
    for column, (value, truth, support, found) in enumerate(items):
        box = crop_box(support, 0.1)
        laid = found if truth is None else align_to(truth, found, scale=True).object
        for axis, values in ((lines[0, column], truth), (lines[1, column], laid)):
            if values is not None:
                axis.set_axis_on()
                _show(axis, values[box], phase)
        lines[1, column].set_title(f"{value:.3g}", fontsize=7, pad=2)
    lines[0, 0].set_title(f"{label}: truth above, found below", fontsize=8, loc="left")


def _show(axis, values: np.ndarray, phase: bool) -> None:
    limit = float(np.abs(values).max()) or 1.0
    if phase:
        span = phase_limit(values)
        shown = np.ma.masked_array(np.angle(values), np.abs(values) < PHASE_FLOOR * limit)
        show_image(axis, shown, colorbar=False, cmap="twilight_shifted", vmin=-span, vmax=span)
    else:
        show_image(axis, np.abs(values), colorbar=False, cmap="gray", vmin=0, vmax=limit)
    axis.set(xticks=[], yticks=[], xlabel="")
