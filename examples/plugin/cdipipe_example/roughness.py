"""A metric: how much the amplitude changes from pixel to pixel."""

import numpy as np

from cdipipe.metrics.record import Metric


def roughness(case):
    amplitude = np.abs(case.object)
    largest = amplitude.max()
    return np.abs(np.diff(amplitude, axis=-1)).mean() / largest if largest > 0 else None


METRIC = Metric(
    name="roughness",
    label="roughness",
    meaning="mean change of the amplitude from pixel to pixel, in units of its largest value",
    judge=roughness,
    good="low",
)
