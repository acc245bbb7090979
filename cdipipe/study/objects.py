"""Objects that a study found for one pattern, laid over each other to be looked at."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from cdipipe.measurement import Measurement, Reconstruction, Truth
from cdipipe.study.tree import Config


@dataclass(frozen=True)
class PatternObjects:
    """What several methods made of one pattern; arrays (H, W), of a volume its middle plane.

    Parameters
    ----------
    truth : complex, where it is known
    support : bool, of the truth or of the first object
    objects : method -> complex, laid over the truth or over the first of them
    misfits : method -> local R-factor of each pixel of the pattern, NaN where nothing was seen, if it was asked for
    """

    truth: np.ndarray | None
    support: np.ndarray
    objects: dict[str, np.ndarray]
    misfits: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def first(self) -> np.ndarray:
        """The truth, or the first object: what sets the scale."""
        return next(iter(self.objects.values())) if self.truth is None else self.truth


def read_objects(
    study: Config, measurement: str, methods: list[str], index: int, misfit: bool = False
) -> PatternObjects:
    """Objects of pattern ``index`` of a measurement; of a stack with fewer patterns, of its last one.

    Parameters
    ----------
    misfit : also the local R-factors

    Raises
    ------
    InputError   a file is missing or damaged
    """
    from cdipipe.io.cxi import read_measurement, read_reconstruction, read_truth
    from cdipipe.metrics.evaluate import lay_over_truth

    place = Path(study.output) / measurement
    results = {method: read_reconstruction(place / method / study.result_name()) for method in methods}
    counts = read_measurement(place / "M.cxi")
    index = min(index, counts.pattern_count - 1)
    misfits = {method: _misfit(result, counts, index) for method, result in results.items()} if misfit else {}
    if measurement not in study.simulated():
        return replace(_over_the_first(results, index), misfits=misfits)
    truth = read_truth(place / "T.cxi")
    found = {method: _plane(lay_over_truth(result, counts, truth, index)) for method, result in results.items()}
    return PatternObjects(*(_plane(array) for array in _of_pattern(truth, index)), found, misfits)


def _misfit(result: Reconstruction, counts: Measurement, index: int) -> np.ndarray:
    """Local R-factors of the pixels of one pattern."""
    from cdipipe.metrics.cases import WholeCase
    from cdipipe.metrics.fourier import local_misfits

    case = WholeCase(result, counts, None).pattern(index)
    predicted = case.predicted if case.photons is None else case.photons
    return _plane(local_misfits(predicted, case.intensity, case.pattern.measured))


def _over_the_first(results: dict[str, Reconstruction], index: int) -> PatternObjects:
    from cdipipe.metrics.align import align_to

    objects = {method: _of_pattern(result, index)[0] for method, result in results.items()}
    support = _of_pattern(next(iter(results.values())), index)[1]
    first = next(iter(objects.values()))
    laid = {m: o if o is first else align_to(first, o, scale=True).object for m, o in objects.items()}
    return PatternObjects(None, _plane(support), {method: _plane(object_) for method, object_ in laid.items()})


def _of_pattern(found: Reconstruction | Truth, index: int) -> tuple[np.ndarray, np.ndarray]:
    """Object and support of one pattern."""
    if found.stack not in ("shots", "movie"):
        return found.object, found.support
    return found.object[index], found.support[index]


def _plane(array: np.ndarray) -> np.ndarray:
    """The array of an image, the middle plane of a volume."""
    return array if array.ndim == 2 else array[len(array) // 2]
