"""One metric of every pattern: histograms of several methods, tests between them, best and worst objects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cdipipe.figures.canvas import LINES, Picture
from cdipipe.figures.objects import crop_box
from cdipipe.metrics.registry import heading_of
from cdipipe.study.distributions import Distribution
from cdipipe.study.draw_galleries import show_object
from cdipipe.study.objects import PatternObjects

BINS = 30
LEAST_PROBABILITY = 1e-300  # below it numbers end


@dataclass(frozen=True)
class Example:
    """The metric of one pattern, and its object beside the truth."""

    value: float
    pattern: PatternObjects


def distribution_figure(
    distribution: Distribution, best: list[Example], worst: list[Example], phase: bool = False
) -> Figure:
    """Histograms above, then a row each of true and found objects, best and worst.

    Parameters
    ----------
    best, worst : of the first method
    phase : the phase instead of the amplitude
    """
    tests, columns = distribution.comparisons(), max(len(best), len(worst))
    heights = [3.0 + 0.17 * len(tests), 6.0 if columns else 0.0]
    figure = Picture(figsize=(max(6.4, 1.5 * columns), sum(heights)), layout="constrained")
    figure.suptitle(distribution.title)
    upper, lower = figure.subfigures(2, 1, height_ratios=heights) if columns else (figure, None)
    show_histograms(upper.subplots(), distribution, tests)
    if lower is not None:
        axes = lower.subplots(4, columns, squeeze=False)
        for lines, label, examples in ((axes[:2], "best", best), (axes[2:], "worst", worst)):
            _show_examples(lines, label, examples, phase)
    return figure


def show_histograms(axes: Axes, distribution: Distribution, tests: Mapping) -> None:
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


def _show_examples(lines: np.ndarray, label: str, examples: list[Example], phase: bool) -> None:
    """Truths in the upper, objects in the lower of two lines of axes."""
    for axis in lines.flat:
        axis.set(xticks=[], yticks=[])
        axis.set_axis_off()
    for column, example in enumerate(examples):
        box = crop_box(example.pattern.support, 0.1)
        (found,) = example.pattern.objects.values()
        for axis, values in ((lines[0, column], example.pattern.truth), (lines[1, column], found)):
            if values is not None:
                axis.set_axis_on()
                show_object(axis, values[box], float(np.abs(values[box]).max()) or 1.0, phase)
        lines[1, column].set_title(f"{example.value:.3g}", fontsize=7, pad=2)
    lines[0, 0].set_title(f"{label}: truth above, found below", fontsize=8, loc="left")
