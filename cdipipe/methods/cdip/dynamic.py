"""CDIP on a movie: one field in space and time, fitted to all frames in random mini-batches.

Each step draws a few frames, renders the field at their times only and compares the photons with theirs, so memory
grows with the box and the field, not with frames times voxels. Nothing ties frames together but the field itself,
unless a total variation in time is asked for.
"""

from __future__ import annotations

import logging
import math
import time

import numpy as np
import torch

from cdipipe.errors import InputError
from cdipipe.methods.cdip.box import Box, box_around, find_box
from cdipipe.methods.cdip.course import tv_weight
from cdipipe.methods.cdip.dynamic_optimiser import TimedAdam
from cdipipe.methods.cdip.dynamic_render import FittedMovie
from cdipipe.methods.cdip.model import SMOOTHING, BoxModel, allowed_phases
from cdipipe.metrics.align import align_to
from cdipipe.ops.device import lack_of_memory_explained
from cdipipe.optics import fourier
from cdipipe.optics.misfits import misfit
from cdipipe.optics.total_variation import length, total_variation
from cdipipe.phasing.steps import JointRun
from cdipipe.phasing.support import one_support

logger = logging.getLogger(__name__)

CHECK_EVERY = 5
"""Passes between copies of the field to go back to."""
DIVERGED = 10.0
BOX_FRAMES = 8
"""Frames, evenly spread, from which the box is found."""
OF_SINGLE_PATTERNS = ("perceptual", "perceptual_weights", "anchor_px", "anchoring")
"""Settings that have no effect on movies, and are refused with them."""
LEAST_MATTER = 0.9
"""Quantile of the phases of a transmission that counts as that of the empty beam: matter delays."""
FILLED = 0.55
"""Share of a box that an even object fills, for the first guess of its modulus."""


class MovieRun(JointRun):
    """Fit one field in space and time to all frames, pass after pass."""

    def iterate(self):
        own, given = self.parameters, self.start.object
        if ignored := [name for name in OF_SINGLE_PATTERNS if name in own.model_fields_set]:
            raise InputError(
                f"cdip: {', '.join(ignored)}: for single patterns; a movie's field has none of it, leave it out"
            )
        self._box = find_movie_box(self.problems, self.start, own)
        with lack_of_memory_explained(self._out_of_memory):
            self._fit = FieldFit(self.problems, self._box, own, self.seed, self.recipe.fitted_light)
            if given is not None:
                self._fit.imitate(given, own.movie.imitation, self.watch.check)
            yield from self._fit.passes(own.warm_rate if given is not None else 1.0)
        if self.recipe.fitted_light:
            for problem in self.problems:
                problem.set_light(*self._fit.model.light(slice(None)))
        if own.movie.field_file:
            self._fit.movie.save(own.movie.field_file)

    def objects(self):
        with lack_of_memory_explained(self._out_of_memory):
            return self._fit.render_frames()

    def supports(self):
        shape, box = self._fit.movie.shape, self._box
        support = np.zeros(shape, bool)
        support[tuple(np.ix_(*(box.places(axis).numpy() + size // 2 for axis, size in enumerate(shape))))] = True
        return np.broadcast_to(support, (len(self.problems), *shape))

    def _out_of_memory(self) -> str:
        sides = " x ".join(map(str, self._box.sides))
        return (
            f"cdip: out of memory with a box of {sides} pixels and movie.frames_per_step "
            f"{self.parameters.movie.frames_per_step}; lower that, movie.channels, hidden or box_px"
        )


def find_movie_box(problems, start, parameters) -> Box:
    """The box of a whole movie: that of a known support or of the probe, or the largest that its frames tell."""
    known = None
    if start.support is not None:
        known = one_support(start.support, problems[0])
    elif problems[0].object_support is not None:
        known = problems[0].object_support
    if known is not None and parameters.box_px is None:
        return box_around(known)
    if problems[0].model.probe_modes is not None or parameters.box_px is not None:
        return find_box(problems[0], None, parameters.box_px, parameters.margin)
    chosen = np.unique(np.linspace(0, len(problems) - 1, BOX_FRAMES).astype(int))
    boxes = [find_box(problems[index], None, None, parameters.margin) for index in chosen]
    return max(boxes, key=lambda box: math.prod(box.sides))


def frame_times(problems) -> torch.Tensor:
    """Times of the frames in seconds, or their numbers where no times are known; (T,) float64."""
    times = [getattr(problem, "time_s", None) for problem in problems]
    if any(value is None for value in times):
        return torch.arange(len(problems), dtype=torch.float64)
    return torch.tensor(times, dtype=torch.float64)


class FieldFit:
    """The fit of one movie.

    Parameters
    ----------
    problems : list of Problem, one per frame
    box : Box
    parameters : CdipParameters
    seed : int
    fits : what is fitted of the light: ``coherence``, ``background``
    """

    def __init__(self, problems, box, parameters, seed, fits=()):
        self.problems, self.parameters = problems, parameters
        first, movie = problems[0], parameters.movie
        self.times = frame_times(problems)
        self.random = torch.Generator().manual_seed(seed % 2**63)
        refractive = _is_refractive(parameters, first)
        photons = sum(problem.object_photons for problem in problems) / len(problems)
        lit = first.model.probe_modes is not None
        modulus = 1.0 if lit else math.sqrt(photons / (FILLED * math.prod(box.sides)))
        cells = (*box.sides, movie.depth, max(2, round(movie.time_cells * len(problems))))
        settings = {"cells": cells, "channels": movie.channels, "fusion": movie.fusion}
        settings |= {name: getattr(parameters, name) for name in ("hidden", "layers", "head", "omega")}
        span_s = (self.times[0], self.times[-1])
        if refractive and first.constraint != "support":
            raise InputError(f"constraint: cdip gives transmissions here, which take none; got '{first.constraint}'")
        phases_rad = allowed_phases(first)
        self.movie = FittedMovie(settings, box, first.shape, span_s, refractive, modulus, seed, phases_rad)
        self.movie.to(first.device)
        self.model = BoxModel(first, box, 1, refractive, modulus, fits).to(first.device)
        self.light, self.tv = self._light(), parameters.tv

    def _light(self) -> float:
        """sqrt(photons per pixel) of the beam where the object modulates one: puts TV in units of the photon noise."""
        if self.model.probes is None:
            return 1.0
        power = self.model.probes.abs().square().sum(0)
        return float(power[power > 0.01 * power.max()].mean().sqrt())

    def _optimiser(self, factor: float = 1.0):
        own = self.parameters.movie
        fitted = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        rates = (factor * rate for rate in (own.plane_rate, own.network_rate, own.time_rate))
        return TimedAdam(self.movie.field, fitted, *rates)

    def _batches(self) -> list[torch.Tensor]:
        """One pass: all frames once, in random order."""
        order = torch.randperm(len(self.problems), generator=self.random)
        return list(order.split(self.parameters.movie.frames_per_step))

    def _stack(self, name: str, frames: torch.Tensor) -> torch.Tensor:
        return torch.stack([getattr(self.problems[index], name) for index in frames.tolist()])

    def imitate(self, objects: np.ndarray, passes: int, check=lambda: None) -> None:
        """Fit the field to objects (T, H, W), centred, of an earlier step; ``check`` may end it by an exception."""
        wanted = self._settled(np.broadcast_to(objects, (len(self.problems), *self.movie.shape)))
        power = wanted.abs().square().mean().clamp(min=1e-20)
        optimiser = self._optimiser()
        for done in range(passes):
            optimiser.set_progress(done / passes)
            for frames in self._batches():
                check()
                target = wanted[frames].to(self.model.index[0].device)
                loss = (self.movie.objects(self.times[frames]) - target).abs().square().mean() / power
                optimiser.descend(loss, self.movie.field_times(self.times[frames]))

    def _settled(self, objects: np.ndarray) -> torch.Tensor:
        """Objects in the box, freed from what a single pattern leaves open: phase, or place and twin as well."""
        settled = np.array(objects, np.complex64)
        freedom = self.problems[0].model.freedom
        for index in range(1 if freedom == "shift" else 0, len(settled)):
            if freedom == "shift":
                settled[index] = align_to(settled[index - 1], settled[index], scale=False).object
            elif freedom == "phase":
                light = fourier.to_centre(self.problems[index].model.illumination).cpu().numpy()
                settled[index] *= _background(settled[index], light, self.movie.refractive)
        corner = fourier.to_corner(torch.from_numpy(settled), 2)
        return corner[(slice(None), *(index.cpu() for index in self.model.index))]

    def passes(self, rate_factor: float = 1.0):
        """Yield the R-factor of every pass; ends early if the fit diverges, and goes back to the field of before."""
        parameters, total = self.parameters, self.parameters.iterations
        closing = total - round(parameters.closing * total)
        early_loss = parameters.loss or ("amplitude_mse" if self.model.probes is None else "poisson")
        optimiser, kept = self._optimiser(rate_factor), _Kept()
        for done in range(total):
            loss = early_loss if done < closing else "poisson"
            if done == closing:
                kept.score = math.inf
            optimiser.set_progress(done / total)
            self.tv = tv_weight(parameters.movie.tv_start, parameters.tv, done / max(closing, 1))
            score, r_factor = self._pass(optimiser, loss)
            if not score < DIVERGED * kept.score:
                logger.warning(
                    "cdip: the fit diverged in pass %d of %d; the field of pass %d is kept, lower movie.time_rate",
                    done + 1, total, kept.done,
                )  # fmt: skip
                if kept.state is not None:
                    self.movie.load_state_dict(kept.state)
                return
            if done % CHECK_EVERY == 0 and score < kept.score:
                kept = _Kept(score, done + 1, {name: value.clone() for name, value in self.movie.state_dict().items()})
            yield r_factor

    def _pass(self, optimiser, loss: str) -> tuple[float, float]:
        """Mean misfit per pixel and R-factor of one pass."""
        score = difference = modulus = pixels = 0.0
        for frames in self._batches():
            counts, measured = self._stack("intensity", frames), self._stack("measured", frames)
            objects = self.movie.objects(self.times[frames])
            predicted = self.model.intensity(objects)
            misfits = misfit(predicted, counts, measured, loss).sum()
            optimiser.descend(misfits + self._variation(objects, frames), self._seen_times(frames))
            with torch.no_grad():
                known = counts.clamp(min=0).sqrt() * measured
                difference += float((predicted.sqrt() * measured - known).abs().sum())
                score += float(misfits)
            modulus, pixels = modulus + float(known.sum()), pixels + int(measured.sum())
        return score / max(pixels, 1), difference / max(modulus, 1e-30)

    def _seen_times(self, frames):
        """Times (F,) in [-1, 1] at which a step looks at the field."""
        if self.parameters.movie.tv_time:
            frames = torch.cat((frames, self._following(frames)))
        return self.movie.field_times(self.times[frames])

    def _following(self, frames):
        return (frames + 1).clamp(max=len(self.problems) - 1)

    def _variation(self, objects, frames):
        """Total variation in space and, where asked for, between each frame and the next."""
        refractive, tv_time = float(self.movie.refractive), self.parameters.movie.tv_time
        scale, smoothing = self.light if self.movie.refractive else 1.0, SMOOTHING * self.movie.modulus
        total = objects.new_zeros((), dtype=torch.float32)
        if self.tv:
            total = self.tv * scale * total_variation(objects - refractive, smoothing).sum()
        if tv_time:
            change = self.movie.objects(self.times[self._following(frames)]) - objects
            total = total + tv_time * scale * length([change], smoothing).sum()
        return total

    def render_frames(self) -> np.ndarray:
        """All frames of the movie, (T, H, W) complex64, centred; says how long one takes."""
        began = time.perf_counter()
        frames = self.movie.render(self.times.numpy(), self.parameters.movie.frames_per_step)
        each = (time.perf_counter() - began) / len(frames)
        logger.info("cdip: %d frames rendered, %.2f ms each", len(frames), 1e3 * each)
        return frames


def _is_refractive(parameters, problem) -> bool:
    if parameters.movie.output is not None:
        return parameters.movie.output == "refractive"
    return parameters.output == "refractive" or problem.model.probe_modes is not None


def _background(object_, light, refractive: bool) -> complex:
    """What turns an object's mean phase to zero; of a transmission the phase of where there is least matter."""
    mean = (object_ * light).sum()
    turn = np.conj(mean) / max(abs(mean), 1e-30)
    if not refractive:
        return turn
    lit = light > 0.1 * light.max()
    return turn * np.exp(-1j * np.quantile(np.angle(object_ * turn)[lit], LEAST_MATTER))


class _Kept:
    """A state of the field to go back to."""

    def __init__(self, score: float = math.inf, done: int = 0, state: dict | None = None):
        self.score, self.done, self.state = score, done, state
