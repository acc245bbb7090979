"""What every part of a reconstruction works on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

from cdipipe.measurement import Measurement
from cdipipe.phasing.problem import Problem
from cdipipe.phasing.starts import derive_seed


@dataclass(frozen=True)
class Task:
    """A measurement, and how it is phased beside the recipe.

    Parameters
    ----------
    measurement : Measurement
    seed : int
    device : torch device
    free_pixels : (*grid) bool, centred, optional; measured pixels that no method may see
    preview : called with (Problem, State, iteration) while the first pattern runs, optional
    first : number of the first pattern in the whole stack, where these are some of it
    whole : patterns of the whole stack; None: these are all
    """

    measurement: Measurement
    seed: int
    device: torch.device
    free_pixels: np.ndarray | None = None
    preview: Callable | None = None
    first: int = 0
    whole: int | None = None

    def of(self, part: range) -> Task:
        """The same with some patterns of the stack, which keep their seeds."""
        count = self.measurement.pattern_count
        if part == range(count):
            return self
        preview = self.preview if part.start == 0 else None
        own = self.measurement.part(slice(part.start, part.stop))
        return replace(self, measurement=own, preview=preview, first=part.start, whole=count)

    @property
    def alone(self) -> bool:
        """Whether there is one pattern in all."""
        return (self.whole or self.measurement.pattern_count) == 1

    @property
    def which(self) -> str:
        """Which patterns of the stack these are, for progress bars; nothing where they are all."""
        last = self.first + self.measurement.pattern_count
        return "" if self.whole is None else f" {self.first + 1} to {last} of {self.whole}"

    @property
    def ndim(self) -> int:
        """Dimensions of a pattern."""
        return len(self.measurement.pattern_shape)

    def indices(self) -> range:
        """Numbers of the patterns."""
        return range(self.measurement.pattern_count)

    def seed_of(self, index: int) -> int:
        """The seed of a pattern; of the only one the seed itself."""
        return self.seed if self.alone else derive_seed(self.seed, self.first + index)

    def problem(self, index: int, recipe, use_static_region: bool | None = None) -> Problem:
        """A pattern made ready for iterating, in the light of the recipe."""
        use = recipe.use_static_region if use_static_region is None else use_static_region
        light = recipe.coherence.width_at_start(self.measurement.pattern_shape), recipe.background.photons
        constraint = recipe.constraint, recipe.phase_range_rad
        pattern = self.measurement.pattern(index)
        return Problem(pattern, *constraint, self.device, self.free_pixels, use, *light)

    def show(self, problem: Problem) -> Callable | None:
        """What a watch calls with (State, iteration); None without a preview."""
        preview = self.preview
        return None if preview is None else lambda state, done: preview(problem, state, done)


def has_photons(pattern: Measurement) -> bool:
    """Is there light on any measured pixel?"""
    return bool((pattern.intensity[pattern.measured] > 0).any())
