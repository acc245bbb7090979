"""What a metric is given to judge: one pattern, a movie in a known beam, or the whole; computed when asked for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from cdipipe.errors import InputError
from cdipipe.measurement import Measurement, Reconstruction, Truth
from cdipipe.metrics import dynamics, fourier, statistics
from cdipipe.metrics.align import align_many, align_to
from cdipipe.metrics.hits import Hits, find_hits
from cdipipe.optics.far_field import CoherentLight

PIXELS_TOGETHER = 2**18
"""Of the patterns of a stack whose objects are laid over their truths at once."""


@dataclass
class PatternCase:
    """One pattern, the object that was found behind it, and what else is known.

    Parameters
    ----------
    pattern : Measurement of this pattern alone; ``intensity`` (*grid) photons, ``measured`` (*grid) bool
    object : (*grid) complex, as the reconstruction has it
    model : CoherentLight or ForwardModel of the reconstruction, for this pattern
    free : (*grid) bool or None, pixels that the reconstruction was not given
    truth, support : (*grid) complex and bool or None, the true object alone and its support
    static : (*grid) complex or None, the static structure beside the true object
    raw_runs : (R, *grid) complex or None, stored runs as they are
    found_support : (*grid) bool or None, support of the reconstruction
    best_nll : negative log-likelihood of the best run, where the object is a mean of runs
    laid : (*grid) complex or None, the object laid over the truth already, see :meth:`WholeCase.patterns`
    """

    pattern: Measurement
    object: np.ndarray
    model: Any
    free: np.ndarray | None = None
    truth: np.ndarray | None = None
    support: np.ndarray | None = None
    static: np.ndarray | None = None
    raw_runs: np.ndarray | None = None
    found_support: np.ndarray | None = None
    best_nll: float | None = None
    laid: np.ndarray | None = None

    @property
    def known(self) -> set[str]:
        """Which of the needs of a metric are met."""
        there = {"truth": self.truth, "runs": self.raw_runs, "withheld": self.free}
        return {name for name, array in there.items() if array is not None}

    @property
    def intensity(self) -> np.ndarray:
        """Photons of the pattern, float32, centred at ``N // 2``."""
        return self.pattern.intensity

    @cached_property
    def used(self) -> np.ndarray:
        """(*grid) bool: measured, and not withheld from the reconstruction."""
        return self.pattern.measured if self.free is None else self.pattern.measured & ~self.free

    @cached_property
    def withheld(self) -> np.ndarray:
        """(*grid) bool: measured, and withheld from the reconstruction."""
        return self.pattern.measured & self.free

    @property
    def is_alone(self) -> bool:
        """Whether the pattern leaves shift, twin and phase of the object open: nothing known stands in the beam."""
        known = (self.model.probe_modes, self.model.static_region, self.pattern.known_static_support)
        return all(array is None for array in known)

    @cached_property
    def predicted(self) -> np.ndarray:
        """(*grid) photons of the object, on its own scale."""
        return self.model.photons_of(self.object)

    @cached_property
    def photons(self) -> np.ndarray | None:
        """(*grid) photons of the object, scaled to those of the used pixels; None without any light."""
        return self._scaled(self.predicted)

    @cached_property
    def true_photons(self) -> np.ndarray | None:
        """(*grid) photons of the truth, scaled likewise."""
        return self._scaled(self.model.without_static().photons_of(self.true_whole))

    @cached_property
    def true_whole(self) -> np.ndarray:
        """(*grid) complex: the true object and the static structure beside it."""
        return self.truth if self.static is None else self.truth + self.static

    @cached_property
    def aligned(self) -> np.ndarray:
        """(*grid) complex: the object laid over the truth, as far as the pattern leaves it open."""
        if self.laid is not None:
            return self.laid
        return _lay_over(self.true_whole, self.truth, self.object, self.model, self.pattern)

    @cached_property
    def runs(self) -> np.ndarray:
        """(R, *grid) complex: the runs laid over the object."""
        return statistics.align_runs(self.object, self.raw_runs, self.model.freedom)

    @cached_property
    def frequencies(self) -> np.ndarray:
        """(rings,) cycles per object pixel."""
        return fourier.ring_frequencies(self.intensity.shape)

    @cached_property
    def frc(self) -> np.ndarray:
        """(rings,) Fourier ring (shell) correlation with the truth; in a known probe of what differs from the mean."""
        if self.model.probe_modes is None:
            return fourier.fourier_ring_correlation(self.truth, self.aligned)
        light = _light_on(self.pattern, self.truth.shape)
        seen = [(array - (light * array).sum() / light.sum()) * light for array in (self.truth, self.aligned)]
        return fourier.fourier_ring_correlation(*seen)

    @cached_property
    def wavefronts(self) -> np.ndarray:
        """(R, *grid) or (R, M, *grid) complex: wavefronts of the runs on the scale of the photons."""
        return np.stack([self._propagate(run) for run in self.runs])

    @cached_property
    def prtf(self) -> np.ndarray:
        """(rings,) phase retrieval transfer function of the runs."""
        return fourier.phase_retrieval_transfer(self.wavefronts, self.intensity, self.used)

    def _scaled(self, predicted: np.ndarray) -> np.ndarray | None:
        scale = fourier.intensity_scale(predicted, self.intensity, self.used)
        return None if scale is None else predicted * scale

    def _propagate(self, object_: np.ndarray) -> np.ndarray:
        wave = self.model.waves_of(object_)
        power = np.abs(wave) ** 2
        power = power.sum(axis=0) if wave.ndim > self.intensity.ndim else power
        scale = fourier.intensity_scale(power, self.intensity, self.used)
        return wave if scale is None else wave * np.sqrt(scale)


@dataclass
class MovieCase:
    """A movie of transmissions in a known beam.

    Parameters
    ----------
    objects, truth : (T, H, W) complex
    probe_modes : (M, H, W) complex
    times_s, pixel_m : (T,) and number, for speeds
    """

    objects: np.ndarray
    probe_modes: np.ndarray
    truth: np.ndarray | None = None
    times_s: np.ndarray | None = None
    pixel_m: float | None = None

    @property
    def known(self) -> set[str]:
        """Which of the needs of a metric are met."""
        timed = self.times_s is not None and self.pixel_m is not None
        met = {"beam": True, "truth": self.truth is not None, "times": timed}
        return {name for name, is_there in met.items() if is_there}

    @cached_property
    def light(self) -> np.ndarray:
        """(H, W) light on the object, largest value 1."""
        return dynamics.light_on_object(self.probe_modes)

    @cached_property
    def phases(self) -> np.ndarray:
        """(T, H, W) phase of each frame about its mean over the field, rad."""
        return np.stack([dynamics.phase_in_field(frame, self.light) for frame in self.objects])


@dataclass(frozen=True)
class WholeCase:
    """A reconstruction as a whole."""

    reconstruction: Reconstruction
    measurement: Measurement
    truth: Truth | None = None

    @property
    def known(self) -> set[str]:
        """Which of the needs of a metric are met."""
        return {name for name, there in (("truth", self.truth), ("runs", self.runs)) if there is not None}

    @property
    def runs(self) -> np.ndarray | None:
        """Stored runs, where there are two or more."""
        runs = self.reconstruction.runs
        return runs if runs is not None and len(runs) > 1 else None

    @property
    def is_stack(self) -> bool:
        """Whether the first axis counts patterns."""
        return self.measurement.stack in ("shots", "movie")

    @property
    def seconds_per_pattern(self) -> float | None:
        """Time inside the method."""
        seconds = self.reconstruction.seconds
        return None if seconds is None else float(seconds) / self.measurement.pattern_count

    @cached_property
    def hits(self) -> Hits | None:
        """Which shots are hits; None where that cannot be judged."""
        return find_hits(self.measurement)

    @cached_property
    def counted(self) -> np.ndarray:
        """(patterns,) bool: those whose numbers make the headline."""
        hits = self.hits
        if hits is None:
            return np.ones(self.measurement.pattern_count, bool)
        counted, phased = hits.kind == hits.best_kind(), self.phased
        return counted & phased if (counted & phased).any() else phased if phased.any() else counted

    @property
    def phased(self) -> np.ndarray:
        """(patterns,) bool: those that the recipe did not leave out (keep_shots)."""
        if "kept_shots" not in self.reconstruction.recipe:
            return np.ones(self.measurement.pattern_count, bool)
        return self.reconstruction.object.any((1, 2))

    @property
    def headline(self) -> str | None:
        """What the numbers of a stack are taken over."""
        count = self.measurement.pattern_count
        if not self.is_stack:
            return None
        if self.measurement.stack == "movie":
            return f"mean over {count} frames"
        if self.hits is None:
            return f"median over {count} shots"
        kinds = list(dict.fromkeys(self.hits.kind[self.counted]))
        others = [f"{number} {kind}" for kind, number in self.hits.count.items() if number and kind not in kinds]
        beside = f" of {count} ({', '.join(others)})" if others else ""
        rule = f", {self.phased.sum()} phased" if "kept_shots" in self.reconstruction.recipe else ""
        return f"median over {self.counted.sum()} {' or '.join(kinds)} shots{beside}{rule}"

    def patterns(self) -> Iterator[PatternCase]:
        """A case for each pattern, in their order; of a stack many objects are laid over their truths at once."""
        count = self.measurement.pattern_count
        step = max(1, PIXELS_TOGETHER // int(np.prod(self.measurement.pattern_shape)))
        for first in range(0, count, step):
            cases = [self.pattern(index) for index in range(first, min(first + step, count))]
            if self.truth is not None and self.is_stack and all(case.is_alone for case in cases):
                wholes = np.stack([case.true_whole for case in cases])
                objects = np.stack([case.object for case in cases])
                for case, laid in zip(cases, align_many(wholes, objects, scale=True), strict=True):
                    case.laid = laid.object
            yield from cases

    def pattern(self, index: int) -> PatternCase:
        """The case of one pattern.

        Parameters
        ----------
        index : of the pattern, from 0
        """
        found, truth, pattern = self.reconstruction, self.truth, self.measurement.pattern(index)
        rank = pattern.intensity.ndim
        one = (lambda array: array[index]) if self.is_stack else (lambda array: array)
        case = PatternCase(pattern, one(found.object), self.model.of_pattern(index))
        case.free = _entry(found.free_pixels, index, rank)
        case.found_support = one(found.support)
        scores = found.run_scores.get("poisson_nll", ())
        if "mean_of_runs" in found.recipe and len(scores):
            case.best_nll = float(np.min(scores))
        if self.runs is not None:
            case.raw_runs = self.runs[:, index] if self.is_stack else self.runs
        if truth is not None:
            case.truth, case.support = one(truth.object), one(truth.support)
            case.static = pattern.static_region
            if case.static is None:
                case.static = _entry(truth.extra.get("static_region"), index, rank)
        return case

    def movie(self) -> MovieCase | None:
        """The case of a movie in a known beam, if it is one."""
        data = self.measurement
        if data.stack != "movie" or data.probe_modes is None:
            return None
        pixel = data.geometry.object_pixel_m(data.pattern_shape[-1])
        true_object = None if self.truth is None else self.truth.object
        return MovieCase(self.reconstruction.object, data.probe_modes, true_object, data.frame_times_s, pixel)

    @cached_property
    def model(self):
        """The reconstruction's own forward model.

        Raises
        ------
        InputError   it has another number of axes than the patterns
        """
        rank = len(self.measurement.pattern_shape)
        record = {"ndim": rank, **self.reconstruction.forward}
        model = CoherentLight.from_dict(record)
        if model is None:
            from cdipipe.optics.forward import ForwardModel

            model = ForwardModel.from_dict(record)
        if model.ndim != rank:
            raise InputError(f"the reconstruction's forward model has {model.ndim} axes, the patterns have {rank}")
        return model


def _lay_over(whole, true_object, object_, model, pattern) -> np.ndarray:
    """The object laid over the truth as far as the pattern leaves it open.

    Beside a known static region that is not at all. Where the static region was estimated, or is part of the object,
    both together are laid over the truth of both: by whole pixels, as the place of the static structure is known to
    the pixel and it would shine into the object through a sub-pixel shift. In a known probe phase and scale are open,
    and taken where there is light: elsewhere nothing is known of the object.
    """
    if model.static_region is not None and pattern.static_region is not None:
        return object_
    beside_static = model.static_region is not None or pattern.known_static_support is not None
    if model.static_region is not None and whole is not true_object:
        object_ = object_ + model.static_centred()
    if model.probe_modes is not None:
        lit = object_ * _light_on(pattern, object_.shape)
        overlap = np.vdot(lit, whole)
        scale = abs(overlap) / max(float(np.vdot(lit, object_).real), 1e-30)
        aligned = (object_ * (scale * np.exp(1j * np.angle(overlap)))).astype(object_.dtype)
    elif beside_static:
        aligned = align_to(whole, object_, subpixel=False).object
    else:
        aligned = align_to(whole, object_, scale=True).object
    return np.where(pattern.known_static_support, 0, aligned) if beside_static else aligned


def _light_on(pattern, grid) -> np.ndarray:
    """The probe's light on the object; the same everywhere where the measurement does not know its probe."""
    return np.ones(grid) if pattern.probe_modes is None else dynamics.light_on_object(pattern.probe_modes)


def _entry(array, index, rank):
    """The entry of one pattern in an array that holds one for each, or one for all."""
    return array[index] if array is not None and array.ndim > rank else array
