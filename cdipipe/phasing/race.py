"""Several recipes on the same patterns: what each makes of pixels that it did not see decides which goes on.

A share of the measured pixels is withheld from all of them. The Poisson likelihood of the withheld counts cannot be
raised by fitting noise; that of the pixels that were seen can. Single pixels are withheld, and blocks of about a
speckle: those tell of the bright middle, these of a support that is too large, which fills gaps of one pixel by itself.
What wins is fitted once more to all pixels.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from cdipipe.errors import InputError
from cdipipe.measurement import Measurement, Reconstruction
from cdipipe.metrics import fourier, noise
from cdipipe.metrics.align import lay_over
from cdipipe.optics.forward import ForwardModel
from cdipipe.phasing.needs import check_needs
from cdipipe.phasing.options import check_options
from cdipipe.phasing.recipe import Recipe, recipe_from_mapping
from cdipipe.phasing.starts import Start, derive_seed
from cdipipe.phasing.task import has_photons
from cdipipe.phasing.withheld import choose_free_pixels

LEAST_MISFIT = 1e-9
"""Keeps the logarithm of a misfit finite where simulated counts have no noise."""


@dataclass(frozen=True)
class Job:
    """What is to be phased, and how, but for the method.

    Parameters
    ----------
    measurement : Measurement
    shared : options of the recipe that every candidate takes, as plain data: constraint, light, first support
    reconstruct : ``cdipipe.phasing.reconstruct.reconstruct``
    seed, device, start, keep_runs : as of ``reconstruct``
    withheld : its ``free_fraction`` and ``free_block_px``: what the caller withholds from everybody
    free_pixels : (*grid) bool, optional; those pixels
    """

    measurement: Measurement
    shared: Mapping[str, Any]
    reconstruct: Callable[..., Reconstruction]
    seed: int
    device: str
    start: Start
    withheld: Mapping[str, Any]
    free_pixels: np.ndarray | None
    keep_runs: bool

    def phase(self, measurement: Measurement, recipe: Recipe, **more: Any) -> Reconstruction:
        """One recipe on a measurement, from the given start unless ``more`` has another one."""
        more = {"start": self.start, **more}
        return self.reconstruct(measurement, recipe, seed=self.seed, device=self.device, **more)


@dataclass(frozen=True)
class Candidate:
    """One way to phase: its name in messages, and its recipe."""

    name: str
    recipe: Recipe


def candidates_of(job: Job, recipes: Mapping[str, Mapping[str, Any]]) -> list[Candidate]:
    """The recipes, given as plain data by name, that this measurement and the shared options leave over."""
    found = []
    for name, mapping in recipes.items():
        try:
            found.append(candidate_of(job, name, mapping))
        except InputError:
            continue
    return found


def candidate_of(job: Job, name: str, mapping: Mapping[str, Any]) -> Candidate:
    """One recipe, given as plain data.

    Raises
    ------
    InputError   the measurement or the shared options do not fit it
    """
    recipe = recipe_from_mapping({**job.shared, **mapping}, name)
    check_needs(job.measurement, recipe)
    check_options(recipe, stack=job.measurement.stack)
    return Candidate(name, recipe)


@dataclass(frozen=True)
class Judged:
    """How well objects of N patterns explain them.

    Parameters
    ----------
    misfit : (N,) negative log-likelihood per withheld pixel
    of_noise : (N,) what a perfect prediction would have in the mean
    cost : (N,) mean of ``misfit`` and of that of the pixels that were seen, to which one is added for each value of
        the object (Akaike, doi:10.1109/TAC.1974.1100705); it chooses between objects of one pattern
    """

    misfit: np.ndarray
    of_noise: np.ndarray
    cost: np.ndarray

    @property
    def score(self) -> float:
        """Mean logarithm of the withheld misfit, so that every pattern counts alike; lowest wins."""
        return mean_log(self.misfit)

    @property
    def excess(self) -> float:
        """The withheld misfit over that of noise, of the pattern that is explained worst."""
        return float(self.over_noise.max())

    @property
    def over_noise(self) -> np.ndarray:
        """(N,) withheld misfits over those of noise."""
        return self.misfit / np.maximum(self.of_noise, LEAST_MISFIT)


@dataclass(frozen=True)
class Lap:
    """What a candidate made of N patterns.

    Parameters
    ----------
    result : Reconstruction without the withheld pixels
    judged : of its objects
    agreement : (N,) correlation of the best start with the median of the better half of the others; NaN of one start
    """

    candidate: Candidate
    result: Reconstruction
    judged: Judged
    agreement: np.ndarray
    seconds: float

    @property
    def score(self) -> float:
        """As of :class:`Judged`."""
        return self.judged.score

    def told(self) -> dict[str, Any]:
        """Plain data for the record of the result."""
        judged, agreement = self.judged, self.agreement
        row = {"name": self.candidate.name, "free_nll": float(judged.misfit.mean()), "over_noise": judged.excess}
        mean = float(np.nanmean(agreement)) if np.isfinite(agreement).any() else None
        return {**row, "agreement": mean, "seconds": round(self.seconds, 3)}


@dataclass
class Race:
    """Candidates on some patterns of a job, without the withheld pixels.

    Parameters
    ----------
    job : Job
    indices : patterns of a stack that take part; of one pattern or volume ``[0]``
    withheld : share of the measured pixels, once single ones and once in blocks
    """

    job: Job
    indices: Sequence[int]
    withheld: float
    laps: list[Lap] = field(default_factory=list)

    def __post_init__(self) -> None:
        job, shape = self.job, self.job.measurement.pattern_shape
        caller = np.zeros(shape, bool) if job.free_pixels is None else job.free_pixels
        patterns = [job.measurement.pattern(index) for index in self.indices]
        self.patterns = [replace(pattern, measured=pattern.measured & ~caller) for pattern in patterns]
        self.hidden = [self._withhold(number) for number in range(len(patterns))]
        seen = np.stack([p.measured & ~h for p, h in zip(self.patterns, self.hidden, strict=True)])
        self.measurement = replace(
            job.measurement.part(list(self.indices)), measured=seen if self.is_stack else seen[0]
        )

    def _withhold(self, number: int) -> np.ndarray:
        """Measured pixels of one pattern that no candidate may see."""
        pattern, seeds = self.patterns[number], (derive_seed(self.job.seed, 2 * number + i) for i in (1, 2))
        single, blocks = (choose_free_pixels(pattern, self.withheld, *o) for o in zip(seeds, (1, 0), strict=True))
        return pattern.measured & (single | blocks)

    @property
    def is_stack(self) -> bool:
        """Whether several patterns can take part."""
        return self.job.measurement.stack in ("shots", "movie")

    def run(self, candidate: Candidate) -> Lap:
        """One candidate on the patterns that take part."""
        began = time.perf_counter()
        ndim = len(self.job.measurement.pattern_shape)
        start = self.job.start.of_patterns(list(self.indices), ndim) if self.is_stack else self.job.start
        found = self.job.phase(self.measurement, candidate.recipe, start=start, keep_runs=True)
        return self.add(candidate, found, began)

    def add(self, candidate: Candidate, found: Reconstruction, began: float) -> Lap:
        """A lap of what was found since ``began`` on the clock."""
        agreement = np.array([agreement_of(runs_of(found, index)) for index in range(len(self.patterns))])
        self.laps.append(Lap(candidate, found, self.judge(found), agreement, time.perf_counter() - began))
        return self.laps[-1]

    @property
    def is_whole(self) -> bool:
        """Whether all patterns of the job take part."""
        return len(self.indices) == self.job.measurement.pattern_count

    def judge(self, found: Reconstruction) -> Judged:
        """How well the objects explain the patterns that take part."""
        model = ForwardModel.from_dict(found.forward)
        objects = found.object if self.is_stack else [found.object]
        rows = [self.judge_one(one, model, index) for index, one in enumerate(objects)]
        return Judged(*np.array(rows).T)

    def in_common(self, one: Lap, other: Lap) -> float:
        """Correlation of what two laps found, of the pattern where they differ most."""
        freedom, pairs = ForwardModel.from_dict(one.result.forward).freedom, []
        for index in range(len(self.patterns)):
            first, second = (runs_of(lap.result, index)[0] for lap in (one, other))
            pairs.append(np.stack([first, lay_over(first, second, freedom)]))
        return min(agreement_of(pair) for pair in pairs)

    def best(self, count: int = 1) -> list[Lap]:
        """The laps of lowest score, best first."""
        return sorted(self.laps, key=lambda lap: lap.score)[:count]

    def judge_one(self, object_: np.ndarray, model: ForwardModel, index: int) -> tuple[float, float, float]:
        """Withheld misfit of an object of one pattern, that of noise alone, and cost; infinite without light."""
        pattern, hidden, seen = self.patterns[index], self.hidden[index], self.seen(index)
        told = model.of_pattern(index).predict_centred(torch.from_numpy(object_)[None])[0].numpy().astype(np.float64)
        scale = fourier.intensity_scale(told, pattern.intensity, seen)
        if scale is None or not hidden.any():
            return np.inf, 1.0, np.inf
        told *= scale
        misfit, fitted = (fourier.poisson_nll(told, pattern.intensity, pixels) for pixels in (hidden, seen))
        values = np.count_nonzero(object_) * (2 if np.any(object_.imag) else 1)
        cost = (misfit + fitted + values / np.count_nonzero(seen)) / 2
        return misfit, noise.nll_of_noise(told, hidden), cost

    def seen(self, index: int) -> np.ndarray:
        """Pixels of a pattern that take part that are not withheld, (*grid) bool."""
        return self.measurement.measured[index] if self.is_stack else self.measurement.measured


def as_shots(job: Job) -> Job:
    """The job with the frames of a movie as shots, whose starts can be kept; others as they are."""
    if job.measurement.stack != "movie":
        return job
    return replace(job, measurement=replace(job.measurement, stack="shots", frame_times_s=None))


def like(found: Reconstruction, job: Job) -> Reconstruction:
    """A result of :func:`as_shots` as one of the job itself."""
    if job.measurement.stack != "movie":
        return found
    return replace(found, stack="movie", runs=None)


def spread(job: Job, count: int) -> list[int]:
    """At most so many patterns with light, spread over the stack; ``[0]`` of one pattern."""
    lit = [index for index in range(job.measurement.pattern_count) if has_photons(job.measurement.pattern(index))]
    places = np.linspace(0, len(lit) - 1, min(count, len(lit))).round().astype(int)
    return [lit[place] for place in places]


def mean_log(misfit: np.ndarray) -> float:
    """Mean logarithm of misfits."""
    return float(np.log(np.maximum(misfit, LEAST_MISFIT)).mean())


def runs_of(found: Reconstruction, index: int) -> np.ndarray:
    """The starts of one pattern, best first, laid over it, (R, *grid)."""
    stack = found.stack in ("shots", "movie")
    if found.runs is None:
        return (found.object[index] if stack else found.object)[None]
    return found.runs[:, index] if stack else found.runs


def agreement_of(runs: np.ndarray) -> float:
    """Median correlation of the best start with the better half of the others, laid over it; NaN of one start."""
    if len(runs) < 2:
        return float("nan")
    found = []
    for other in runs[1 : 1 + max(1, len(runs) // 2)]:
        norm = float(np.linalg.norm(other) * np.linalg.norm(runs[0]))
        found.append(abs(complex(np.vdot(other, runs[0]))) / norm if norm > 0 else 0.0)
    return float(np.median(found))
