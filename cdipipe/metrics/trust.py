"""How far a result can be believed, judged without its truth: numbers that a misfit stands beside, and plain doubts.

A doubt is one sentence that says what is wrong and what to do. ``bad`` ones say that the object is not to be believed;
``doubtful`` ones that it may be. The thresholds were chosen on the simulated results of tests/metrics/test_trust.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from cdipipe.metrics import fourier, noise
from cdipipe.metrics.record import Metric

LEVELS = ("bad", "doubtful")
MISFIT = {"bad": 0.12, "doubtful": 0.08}
"""Share of the moduli that is left unexplained once counting noise is taken off in quadrature."""
AGREEMENT = {"bad": 0.4, "doubtful": 0.7}
"""How far the agreement of the better runs must lie between that of random phases (0) and 1."""
OVERSAMPLING = 2.0
"""Pixels of the array per pixel of the support: below that a pattern does not determine an object."""
WIDEST = 0.5
"""Share of an axis that an object may span: of more its autocorrelation wraps around."""
SPAN_TAIL = 0.005
"""Of the object's energy, left out at each end of an axis."""
OFF_CENTRE_PX = 5.0
"""Detector pixels from the array's centre to that of the pattern, by the mean ramp of the object's phase."""
FEW_PHOTONS = 10.0
"""Photons per pixel of the object (its support)."""
HELD_BY_FEW = 0.5
"""Share of the whole misfit in one pixel of a thousand: hot or saturated pixels."""
OUTER_EXCESS = 3.0
"""Measured over predicted photons in the outer half of the pattern: a background was left."""
OF_OBJECT = {"bad": 0.25, "doubtful": 0.1}
"""Beside a known structure: the unexplained share of what the object adds to the moduli."""
SATURATED = 5
"""So many pixels that share the highest count were cut off there,"""
LEAST_SATURATED = 100
"""at so many photons and more;"""
SATURATED_SHARE = {"bad": 0.05, "doubtful": 0.0}
"""share of all photons that they hold."""
BRIGHT_LINE = 50
"""Photons of a line of pixels; between two such a line without any is a gap that was not masked."""
EVEN = 1.1
"""Variance over mean of counts that even light has, with a margin."""
MEAN_WORSE = 1.05
"""Negative log-likelihood of a mean of runs over that of the best one."""
SURROGATES = 3


@dataclass(frozen=True)
class Doubt:
    """One reason not to believe a result.

    Parameters
    ----------
    level : ``bad`` or ``doubtful``
    text : a sentence: what is seen, and what to do
    """

    level: Literal["bad", "doubtful"]
    text: str


def verdict_of(doubts: list[Doubt]) -> str:
    """The worst level there is, or ``plausible``.

    Parameters
    ----------
    doubts : of :func:`doubts_of`
    """
    return next((level for level in LEVELS if any(doubt.level == level for doubt in doubts)), "plausible")


def transfer_is_told(runs: int) -> bool:
    """Whether a transfer function of so many runs can fall below 1/e at all: random phases must lie below it.

    Parameters
    ----------
    runs : number of independent runs
    """
    return fourier.transfer_floor(runs) < float(np.exp(-1))


def random_agreement(case) -> float | None:
    """Mean correlation of objects of the same data and support whose phases are random, laid over each other.

    Parameters
    ----------
    case : PatternCase with a ``found_support``
    """
    from cdipipe.metrics import statistics

    support = case.found_support
    if support is None or not support.any() or case.photons is None:
        return None
    rng = np.random.default_rng(0)
    modulus = np.sqrt(np.where(case.used, np.maximum(case.intensity, 0), case.photons))
    is_real = not np.iscomplexobj(case.object) or not np.any(case.object.imag)
    made = []
    for _ in range(SURROGATES):
        phases = np.exp(2j * np.pi * rng.random(modulus.shape))
        waves = np.fft.fftshift(np.fft.ifftn(np.fft.ifftshift(modulus * phases))) * support
        made.append((np.maximum(waves.real, 0) if is_real else waves).astype(np.complex64))
    laid = statistics.align_runs(made[0], np.stack(made), case.model.freedom)
    return statistics.repeatability(laid)


def doubts_of(case, metrics: dict[str, Any]) -> list[Doubt]:
    """What speaks against the object of one pattern; an empty list where nothing does.

    Parameters
    ----------
    case : PatternCase with a ``found_support``
    metrics : what was measured of it
    """
    found = [
        *_misfit_doubts(case, metrics),
        *_run_doubts(metrics),
        *_counts_doubts(case),
        *_support_doubts(case),
        *_mean_doubts(case, metrics),
    ]
    return sorted((doubt for doubt in found if doubt), key=lambda doubt: LEVELS.index(doubt.level))


def unexplained(r_factor: float, of_noise: float) -> float:
    """R-factor without the part of counting noise, in quadrature.

    Parameters
    ----------
    r_factor, of_noise : of the result, and of a perfect prediction
    """
    return float(np.sqrt(max(r_factor**2 - of_noise**2, 0.0)))


def _level(value: float, limits: dict[str, float], above: bool) -> str | None:
    return next((name for name in LEVELS if (value > limits[name]) == above and value != limits[name]), None)


def _misfit_doubts(case, metrics) -> list[Doubt]:
    if case.photons is None:
        return [Doubt("bad", "there is no light in the object or in the measured pixels: look at mask and support")]
    doubts = []
    rest = unexplained(metrics.get("r_factor", 0.0), metrics.get("r_factor_noise", 0.0))
    level = _level(rest, MISFIT, above=True)
    if level is None and (level := _level(share := _of_object(case, rest), OF_OBJECT, above=True)):
        text = f"{100 * share:.0f} % of what the object adds to the known structure's pattern is not explained"
        doubts.append(Doubt(level, text + ": the structure or its place is wrong, or the phasing failed"))
        level = None
    few = _share_of_few(case)
    excess = _outer_excess(case)
    if few > HELD_BY_FEW and rest > MISFIT["doubtful"] / 2:
        text = f"{100 * few:.0f} % of the misfit is in one pixel of a thousand: mask hot or saturated pixels"
        doubts.append(Doubt("bad", text + " (import --hot-pixels mask, --saturation)"))
    if excess > OUTER_EXCESS:
        text = f"the outer half of the pattern has {excess:.1f} times the photons that the object explains"
        doubts.append(Doubt("bad", text + ": a background was left (import --background), or the support is too large"))
    if level:
        text = (
            f"R-factor {metrics['r_factor']:.2g} where counting noise alone would give {metrics['r_factor_noise']:.2g}"
        )
        cure = "mask, centre, support or coherence do not fit, or the phasing failed: try more restarts"
        doubts.append(Doubt(level, f"{text}: {cure}"))
    return doubts


def _counts_doubts(case) -> list[Doubt]:
    """What the counts tell by themselves, however well they are explained."""
    doubts, counts = [], np.where(case.used, case.intensity, 0)
    highest, total = float(counts.max()), float(counts.sum(dtype=float))
    cut = int((counts == highest).sum())
    if (
        highest >= LEAST_SATURATED
        and cut >= SATURATED
        and (level := _level(cut * highest / total, SATURATED_SHARE, True))
    ):
        text = f"{cut} pixels share the highest count, {highest:.4g}: mask saturated pixels (import --saturation)"
        doubts.append(Doubt(level, text))
    if lines := sum(_dark_lines(counts, case.used, axis) for axis in range(counts.ndim)):
        text = f"{lines} lines of pixels without a count lie between bright ones: a gap of the detector"
        doubts.append(Doubt("bad", text + " that is not masked (import --mask)"))
    seen = counts[case.used]
    if float(seen.var(dtype=float)) < EVEN * float(seen.mean(dtype=float)):
        doubts.append(Doubt("bad", "the counts vary no more than those of even light: there is no pattern"))
    return doubts


def _dark_lines(counts: np.ndarray, used: np.ndarray, axis: int) -> int:
    """Measured lines across an axis without a count, two or more in a row between bright ones.

    A single one may be a zero of the pattern of an object with straight sides.
    """
    others = tuple(other for other in range(counts.ndim) if other != axis)
    sums = counts.sum(axis=others, dtype=float)[used.any(axis=others)]
    lit = np.flatnonzero(sums > 0)
    bright = np.minimum(sums[lit[:-1]], sums[lit[1:]]) >= BRIGHT_LINE
    between = np.diff(lit) - 1
    return int(between[bright & (between >= 2)].sum())


def _of_object(case, rest: float) -> float:
    """The unexplained share of what the object adds to the moduli beside a known structure; 0 without one."""
    if case.model.static_region is None:
        return 0.0
    nothing = case.model.photons_of(np.zeros_like(case.object))
    added = fourier.r_factor(nothing, case.intensity, case.used)
    return rest / added if added else 0.0


def _share_of_few(case) -> float:
    """Share of the squared distance of moduli that one pixel of a thousand holds."""
    pixels = case.used
    distance = (np.sqrt(np.maximum(case.intensity[pixels], 0)) - np.sqrt(case.photons[pixels])) ** 2
    count = max(1, pixels.sum() // 1000)
    total = float(distance.sum())
    return float(np.partition(distance, -count)[-count:].sum()) / total if total > 0 else 0.0


def _outer_excess(case) -> float:
    """Measured over predicted photons beyond half of Nyquist, where the excess is clear of counting noise."""
    from cdipipe.metrics.fourier import ring_index

    shape = case.intensity.shape
    outer = case.used & (ring_index(shape) > min(shape) // 4)
    seen, told = float(case.intensity[outer].sum()), float(case.photons[outer].sum())
    clear = seen - told > 5 * np.sqrt(max(told, 1.0)) and seen > 0.01 * float(case.intensity[case.used].sum())
    return seen / max(told, 1.0) if clear else 1.0


def agreement_of_best(case) -> float | None:
    """Median correlation of the best run with the better half of the others; None with fewer than three runs.

    Parameters
    ----------
    case : PatternCase with runs, which are stored from best to worst
    """
    from cdipipe.metrics import statistics

    if len(case.raw_runs) < 3 or not case.object.any():
        return None
    better = case.runs[: 1 + max(1, len(case.raw_runs) // 2)]
    return float(np.median(statistics.correlation_matrix(better)[0, 1:]))


def _run_doubts(metrics) -> list[Doubt]:
    agreement, random = metrics.get("agreement"), metrics.get("repeatability_random")
    if agreement is None or random is None:
        return []
    level = _level((agreement - random) / max(1 - random, 1e-6), AGREEMENT, above=False)
    if level is None:
        return []
    text = f"the better runs agree to {agreement:.2f} where random phases agree to {random:.2f}"
    return [Doubt(level, f"{text}: they are different solutions; look at them (cdipipe runs) before believing one")]


def _support_doubts(case) -> list[Doubt]:
    support = case.found_support
    if support is None or not support.any() or case.model.probe_modes is not None:
        return []
    doubts, size = [], int(support.sum())
    photons = float(np.maximum(case.intensity[case.used], 0).sum())
    alone = case.model.static_region is None
    if alone and support.size / size < OVERSAMPLING:
        text = f"the support fills {100 * size / support.size:.0f} % of the array: the pattern is undersampled for it"
        doubts.append(Doubt("bad", text + ", move the detector away, or tighten the support"))
    wide = _spans(case.object)
    if alone and not doubts and any(w > WIDEST * n for w, n in zip(wide, support.shape, strict=True)):
        text = f"the object spans {' x '.join(map(str, wide))} of {' x '.join(map(str, support.shape))} pixels"
        doubts.append(Doubt("doubtful", text + ": the pattern may be undersampled for it"))
    off = _off_centre_px(case.object)
    if alone and off > OFF_CENTRE_PX:
        text = f"the pattern lies {off:.1f} px off the array's centre: the phase has a ramp"
        doubts.append(Doubt("doubtful", text + "; import with --centre, or take the ramp off"))
    if alone and photons / size < FEW_PHOTONS:
        text = f"{photons / size:.2g} photons per pixel of the object: too few to phase it; add patterns, or bin"
        doubts.append(Doubt("bad", text))
    return doubts


def _spans(object_: np.ndarray) -> list[int]:
    """Pixels along each axis that hold nearly all of the object's energy."""
    energy, spans = np.abs(object_) ** 2, []
    for axis in range(object_.ndim):
        profile = energy.sum(axis=tuple(other for other in range(object_.ndim) if other != axis), dtype=float)
        share = np.cumsum(profile) / max(float(profile.sum()), 1e-30)
        first, last = np.searchsorted(share, (SPAN_TAIL, 1 - SPAN_TAIL))
        spans.append(int(last - first) + 1)
    return spans


def _off_centre_px(object_: np.ndarray) -> float:
    """Detector pixels by which the mean ramp of the phase moves the pattern."""
    steps = [
        np.vdot(np.take(object_, range(n - 1), a), np.take(object_, range(1, n), a))
        for a, n in enumerate(object_.shape)
    ]
    return float(
        np.linalg.norm([np.angle(step) * n / (2 * np.pi) for step, n in zip(steps, object_.shape, strict=True)])
    )


def _mean_doubts(case, metrics) -> list[Doubt]:
    """A mean of runs that explains the counts worse than its best run."""
    best, own = case.best_nll, metrics.get("poisson_nll")
    if best is None or own is None or own <= MEAN_WORSE * best:
        return []
    level = "bad" if unexplained(metrics["r_factor"], metrics.get("r_factor_noise", 0)) > MISFIT["bad"] else "doubtful"
    text = f"these are numbers of a mean of runs, whose misfit (NLL {own:.3g}) is worse than that of its best run"
    return [Doubt(level, f"{text} ({best:.3g}): runs that disagree were averaged; keep fewer, or take the best run")]


METRICS = (
    Metric(
        name="r_factor_noise",
        label="R-factor of noise",
        meaning="R-factor that a perfect prediction of these counts has in the mean, by counting noise alone",
        judge=lambda case: None if case.photons is None else noise.r_factor_of_noise(case.photons, case.used),
        shown=False,
    ),
    Metric(
        name="nll_over_noise",
        label="misfit over noise",
        meaning="NLL over that of a perfect prediction, in the mean: 1 where only counting noise is left, less where "
        "noise was fitted",
        judge=lambda case: _over_noise(case),
        shown=False,
    ),
    Metric(
        name="agreement",
        label="agreement",
        meaning="median correlation of the best run with the better half of the others, by likelihood",
        judge=agreement_of_best,
        good="high",
        needs=("runs",),
        shown=False,
    ),
    Metric(
        name="repeatability_random",
        label="repeatability of noise",
        meaning="repeatability of objects of the same data and support with random phases",
        judge=random_agreement,
        needs=("runs",),
        shown=False,
    ),
)


def _over_noise(case) -> float | None:
    if case.photons is None:
        return None
    least = noise.nll_of_noise(case.photons, case.used)
    own = fourier.poisson_nll(case.photons, case.intensity, case.used)
    return None if not least or own is None else own / least
