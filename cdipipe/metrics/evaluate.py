"""Every metric of a reconstruction: the flat content of metrics.json, and the curves behind it."""

from __future__ import annotations

import functools
import logging
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from cdipipe.errors import InputError
from cdipipe.measurement import Measurement, Reconstruction, Truth
from cdipipe.metrics import fourier, statistics
from cdipipe.metrics.cases import MovieCase, PatternCase, WholeCase
from cdipipe.metrics.catalogue import FRC_THRESHOLD, PRTF_THRESHOLD
from cdipipe.metrics.record import Metric
from cdipipe.metrics.registry import METRICS, all_metrics
from cdipipe.metrics.trust import LEVELS, Doubt, doubts_of, transfer_is_told, verdict_of

logger = logging.getLogger("cdipipe")


@dataclass(frozen=True, repr=False)
class Evaluation:
    """What ``evaluate`` finds.

    Parameters
    ----------
    metrics : dict of str -> float or str, the content of metrics.json
    curves : dict of str -> (rings,) float64, means over the patterns of a stack, of shots over the hits
        ``radial_measured``, ``radial_predicted`` (mean photons per pixel) and ``radial_pixels``; with truth ``frc``
        (``fsc`` of a volume), its ``_half_bit``, ``_one_bit`` and ``_threshold``; with runs ``prtf``, its ``_smooth``
        (3 rings, what the resolution is read from), ``_phase``, ``_threshold`` and ``_floor``. Every group has its
        ``_frequency`` in cycles per object pixel. Thresholds and floor are single numbers. Of a stack also
        ``pattern_NAME``, each metric of each pattern, and ``prtf_of_patterns`` (patterns, rings), smoothed. Of a movie
        in a known beam ``movie_NAME``, each metric of each frame, or pair of frames.
    """

    metrics: dict[str, float | str]
    curves: dict[str, np.ndarray]

    def __str__(self) -> str:
        """The metrics as a table, a line each."""
        width = max(map(len, self.metrics), default=0)
        return "\n".join(f"{name:{width}}  {_shown(value)}" for name, value in self.metrics.items())

    def __repr__(self) -> str:
        return f"Evaluation({len(self.metrics)} metrics, {len(self.curves)} curves)"

    def _repr_html_(self) -> str:
        rows = (
            f"<tr><th>{escape(name)}</th><td>{escape(_shown(value))}</td></tr>" for name, value in self.metrics.items()
        )
        return f"<table>{''.join(rows)}</table>"


def _shown(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.5g}"


def evaluate(
    reconstruction: Reconstruction,
    measurement: Measurement,
    truth: Truth | None = None,
    progress: Callable | None = None,
) -> Evaluation:
    """Judge a reconstruction by its measurement, by its own runs, and by the truth where there is one.

    Parameters
    ----------
    reconstruction, measurement, truth : of the same shape and stack
    progress : callable that wraps an iterable, optional

    Returns
    -------
    Evaluation
        Of a stack of shots the medians over those that are hits (see :mod:`cdipipe.metrics.hits`), of frames the means,
        and ``NAME_std``; ``headline`` says which. What cannot be computed is absent.

    Raises
    ------
    InputError   shapes or stacks differ
    """
    check_shapes(reconstruction, measurement, truth)
    whole = WholeCase(reconstruction, measurement, truth)
    rows, curves, doubts = judge_patterns(whole, progress)
    counted = np.flatnonzero(whole.counted)
    middle = np.mean if measurement.stack == "movie" else np.median
    metrics = statistics.summarise([rows[n] for n in counted], middle) if whole.is_stack else rows[0]
    joined = {name: _mean_of_valid([curves[n][name] for n in counted]) for name in curves[0]}
    if whole.is_stack:
        joined |= statistics.by_pattern(rows)
        if "prtf_smooth" in joined:
            joined["prtf_of_patterns"] = np.stack([curve["prtf_smooth"] for curve in curves])
    if (movie := whole.movie()) is not None:
        more, more_curves = judge_movie(movie)
        metrics, joined = metrics | more, joined | more_curves
    metrics |= _judge_all("whole", whole)
    return Evaluation(metrics | _told([doubts[n] for n in counted], metrics), joined)


def judge_patterns(whole: WholeCase, progress: Callable | None) -> tuple[list, list, list]:
    """Metrics, curves and doubts of each pattern.

    A stack's patterns are small: with several threads for each of them, threads mostly wait for each other.

    Parameters
    ----------
    whole : what is judged
    progress : callable that wraps an iterable, optional

    Returns
    -------
    rows, curves, doubts : lists, one entry for each pattern
    """
    _ = whole.model  # torch, if the model needs it, is to be loaded before threads are counted
    rows, curves, doubts = [], [], []
    indices = range(whole.measurement.pattern_count)
    with threadpool_limits(1 if whole.is_stack else None):
        for case, _ in zip(whole.patterns(), indices if progress is None else progress(indices), strict=True):
            rows.append(_judge_all("pattern", case))
            curves.append(_curves(case))
            doubts.append(doubts_of(case, rows[-1]))
    return rows, curves, doubts


def _told(doubts: list[list[Doubt]], metrics: dict[str, Any]) -> dict[str, str]:
    """The verdict and its reasons as text; of a stack how many of its patterns have each verdict."""
    verdicts = [verdict_of(found) for found in doubts]
    reasons = [doubt.text for doubt in doubts[0]] if len(doubts) == 1 else []
    verdict = verdicts[0]
    if len(doubts) > 1:
        counts = {name: verdicts.count(name) for name in ("plausible", *LEVELS)}
        verdict = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
        common = Counter(doubt.text.partition(":")[2].strip() or doubt.text for found in doubts for doubt in found)
        reasons = [f"{count} of {len(doubts)} patterns: {text}" for text, count in common.most_common(3)]
    runs = metrics.get("prtf_runs")
    if runs and not transfer_is_told(runs):
        floor = metrics["prtf_floor"]
        reasons.append(
            f"no PRTF: of {runs} runs random phases alone reach {floor:.2f}, above 1/e; 6 or more are needed"
        )
    return {"verdict": verdict} | ({"reasons": "; ".join(reasons)} if reasons else {})


def lay_over_truth(reconstruction, measurement, truth, index: int = 0) -> np.ndarray:
    """One pattern's object laid over its truth as every metric sees it: as far as the pattern leaves it open.

    Parameters
    ----------
    reconstruction : Reconstruction
    measurement : Measurement that it was phased from
    truth : Truth of the same shape
    index : of the pattern, from 0

    Returns
    -------
    complex array of the shape of one object
    """
    return WholeCase(reconstruction, measurement, truth).pattern(index).aligned


def judge_movie(case: MovieCase) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Metrics of a movie in a known beam, and the numbers of each frame behind them.

    Parameters
    ----------
    case : its frames (T, H, W) with the probe, the pixel and the times

    Returns
    -------
    metrics : ``NAME``, the mean (or median) over the frames that have it, and ``NAME_std``
    curves : ``movie_NAME``, (frames,) or (pairs of frames,) float64
    """
    metrics, curves = {}, {}
    for metric in _applicable("frames", case):
        values = _judge(metric, case)
        if values is None:
            continue
        curves[f"movie_{metric.name}"] = values = np.asarray(values, np.float64)
        valid = values[np.isfinite(values)]
        if len(valid):
            middle = np.median if metric.middle == "median" else np.mean
            metrics[metric.name], metrics[f"{metric.name}_std"] = float(middle(valid)), float(valid.std())
    return metrics, curves


def _applicable(of: str, case) -> list[Metric]:
    """Metrics of a kind whose needs are met."""
    return [metric for metric in all_metrics().values() if metric.of == of and case.known.issuperset(metric.needs)]


def _judge_all(of: str, case) -> dict[str, float | str]:
    """Every metric of a kind that this case has, as plain numbers and text."""
    found = {}
    for metric in _applicable(of, case):
        value = _judge(metric, case)
        if isinstance(value, str):
            found[metric.name] = value
        elif value is not None and math.isfinite(value):
            found[metric.name] = value if isinstance(value, int) else float(value)
    return found


def _judge(metric: Metric, case) -> Any:
    """A metric's value; one of another package that fails is left out with a warning, one of ours is a defect."""
    if metric.name not in METRICS.plugins:
        return metric.judge(case)
    try:
        return metric.judge(case)
    except Exception as error:  # whatever another package raises
        _warn(metric.name, f"{error!r:.200}")
        return None


@functools.cache
def _warn(name: str, error: str) -> None:
    logger.warning("left out: metric '%s' of plug-in %s failed: %s", name, METRICS.plugins[name][0].value, error)


def _curves(case: PatternCase) -> dict[str, np.ndarray]:
    """Curves over the rings of one pattern."""
    curves = _radial(case)
    if case.truth is not None:
        curves |= _correlation_curves(case)
    if case.raw_runs is not None:
        curves |= _transfer_curves(case)
    return curves


def _radial(case: PatternCase) -> dict[str, np.ndarray]:
    predicted = case.predicted * 1.0 if case.photons is None else case.photons
    return {
        "radial_frequency": case.frequencies,
        "radial_pixels": fourier.ring_sums(np.ones(case.intensity.shape)),
        "radial_measured": fourier.ring_means(case.intensity, case.used),
        "radial_predicted": fourier.ring_means(predicted, case.used),
    }


def _correlation_curves(case: PatternCase) -> dict[str, np.ndarray]:
    shape, filled = case.truth.shape, float(case.support.mean())
    name = "fsc" if case.truth.ndim == 3 else "frc"
    return {
        name: case.frc,
        f"{name}_frequency": case.frequencies,
        f"{name}_half_bit": fourier.bit_threshold(shape, 0.5, filled),
        f"{name}_one_bit": fourier.bit_threshold(shape, 1.0, filled),
        f"{name}_threshold": np.array(FRC_THRESHOLD),
    }


def _transfer_curves(case: PatternCase) -> dict[str, np.ndarray]:
    phase = fourier.phase_retrieval_transfer(case.wavefronts, case.intensity, case.used, phase_only=True)
    return {
        "prtf": case.prtf,
        "prtf_frequency": case.frequencies,
        "prtf_smooth": fourier.smooth_rings(case.prtf),
        "prtf_phase": phase,
        "prtf_threshold": np.array(PRTF_THRESHOLD),
        "prtf_floor": np.array(fourier.transfer_floor(len(case.raw_runs))),
    }


def _mean_of_valid(arrays: list[np.ndarray]) -> np.ndarray:
    stacked = np.stack(arrays)
    valid = np.isfinite(stacked)
    count = valid.sum(axis=0)
    total = np.where(valid, stacked, 0).sum(axis=0)
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)


def check_shapes(reconstruction: Reconstruction, measurement: Measurement, truth: Truth | None) -> None:
    """Raise InputError where shapes or stacks of what belongs together differ.

    Parameters
    ----------
    reconstruction, measurement, truth : that belong together
    """
    expected = (measurement.stack, measurement.intensity.shape)
    for name, item in (("reconstruction", reconstruction), ("truth", truth)):
        if item is not None and (item.stack, item.object.shape) != expected:
            raise InputError(
                f"the {name} does not fit the measurement: {item.stack} of shape {item.object.shape}, "
                f"the measurement is {expected[0]} of shape {expected[1]}"
            )
        if item is not None:
            statistics.check_values(name, item.object)
    free = reconstruction.free_pixels
    if free is not None and free.shape not in (measurement.pattern_shape, measurement.intensity.shape):
        raise InputError(f"free pixels of shape {free.shape} do not fit patterns of shape {measurement.pattern_shape}")
    if reconstruction.runs is not None:
        statistics.check_runs(reconstruction)
