"""Stacks as a beam of particles gives them: most shots hit one object, some none, some two, some only its faint end.

The class of a shot is drawn for a hundred shots at once, so that shares in whole per cent are met exactly in every
hundred; it depends on the seed and the number of the shot alone. It is stored with the truth (``extra["shot"]``), never
with the measurement.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from cdipipe.errors import InputError
from cdipipe.simulation.light import scale_to_photons
from cdipipe.simulation.registry import Sample, Scene, SceneParameters

BLOCK = 100
"""Shots whose classes are drawn together."""
CLASSES, BRIGHTNESS, PLACES = range(3)
"""What a generator is for."""
Shot = Literal["single", "blank", "weak", "double"]


class ShotParameters(BaseModel):
    """Which shots of a stack are no good hits."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    blank: float = Field(0.0, ge=0, le=1, description="share of shots without an object: background alone")
    weak: float = Field(0.0, ge=0, le=1, description="share of shots with too few photons")
    double: float = Field(0.0, ge=0, le=1, description="share of shots that hit two objects side by side, in one beam")
    weak_photons: tuple[float, float] = Field(
        (0.003, 0.03), description="photons of a weak shot, as a share of `photons`: log-uniform in this range"
    )
    brightness_spread: float = Field(
        0.0, ge=0, le=3, description="standard deviation of ln(photons) from object to object"
    )

    @model_validator(mode="after")
    def _possible(self):
        if self.blank + self.weak + self.double > 1 + 1e-9:
            raise ValueError("the shares blank, weak and double sum to more than 1")
        low, high = self.weak_photons
        if not 0 < low <= high <= 1:
            raise ValueError(f"weak_photons {self.weak_photons}: expected a range low, high between 0 and 1")
        return self

    @property
    def is_plain(self) -> bool:
        """Whether every shot is one object of the same photons."""
        return not (self.blank or self.weak or self.double or self.brightness_spread)

    def class_of(self, seed: int, index: int) -> Shot:
        """Class of a shot.

        Parameters
        ----------
        seed, index : of the simulation, and of the shot in it
        """
        places = _stream(seed, index // BLOCK, CLASSES).permutation(BLOCK)
        level = (places[index % BLOCK] + 0.5) / BLOCK
        bounds = np.cumsum([self.blank, self.weak, self.double])
        names: tuple[Shot, ...] = ("blank", "weak", "double", "single")
        return names[int(np.searchsorted(bounds, level, side="right"))]


class ShotSceneParameters(SceneParameters):
    """Parameters of a scene of single objects that a stack of shots can be made of."""

    shots: ShotParameters = Field(
        ShotParameters(), description="blanks, weak and double hits among the shots; keys such as shots.blank"
    )


def vary(
    scene: Scene,
    parameters: ShotSceneParameters,
    seed: int,
    indices: Sequence[int],
    samples: Sequence[Sample],
    stream: Callable[[int], np.random.Generator],
) -> list[Sample]:
    """The samples of these numbers as shots: empty, faint, two of them, or left alone; on the scale of the photons.

    Parameters
    ----------
    scene : that made the samples
    parameters : with ``shots``
    seed, indices : of the simulation, and of the samples in it
    samples : one for each index
    stream : index to the generator of the second object of a double hit

    Raises
    ------
    InputError   the scene's objects do not stand alone in a plane wave, or two do not fit into the array
    """
    found = []
    for index, sample in zip(indices, samples, strict=True):
        known = (sample.probe_modes, sample.static_region, sample.object_support)
        if sample.object.ndim != 2 or any(array is not None for array in known):
            raise InputError(f"scene {scene.name}: shots are for single objects in a plane wave, in two dimensions")
        rng = _stream(seed, index, BRIGHTNESS)
        kind = parameters.shots.class_of(seed, index)
        first = _lit(sample, parameters, rng)
        if kind == "weak":
            low, high = np.log(parameters.shots.weak_photons)
            first = replace(first, object=first.object * np.exp(rng.uniform(low, high) / 2))
        elif kind == "blank":
            first = replace(first, object=np.zeros_like(first.object), support=np.zeros_like(first.support))
        elif kind == "double":
            second = _lit(scene.build(parameters, stream(index)), parameters, rng)
            first = _side_by_side(first, second, _stream(seed, index, PLACES), scene.name)
        found.append(replace(first, photons_scaled=True, extra={**(sample.extra or {}), "shot": kind}))
    return found


def _stream(seed: int, index: int, kind: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence([seed, index], spawn_key=(0x5407, kind)))


def _lit(sample: Sample, parameters: ShotSceneParameters, rng: np.random.Generator) -> Sample:
    """The sample on the scale of its photons, brighter or fainter than the mean."""
    spread = parameters.shots.brightness_spread
    factor = np.exp((rng.normal() * spread - spread**2 / 2) / 2)
    lit = scale_to_photons(sample, parameters.photons)
    return replace(lit, object=lit.object * factor)


def _side_by_side(first: Sample, second: Sample, rng: np.random.Generator, scene: str) -> Sample:
    """Two objects in one coherent beam, apart by at least a pixel and both inside the array."""
    direction, turn = rng.uniform(0, 2 * np.pi), np.exp(2j * np.pi * rng.random())
    step = np.array([np.sin(direction), np.cos(direction)])
    fitting = []
    for distance in range(1, max(first.object.shape)):
        shifts = [np.rint(sign * distance / 2 * step).astype(int) for sign in (-1, 1)]
        if not all(_fits(s.support, shift) for s, shift in zip((first, second), shifts, strict=True)):
            break
        one, two = (np.roll(s.support, shift, (0, 1)) for s, shift in zip((first, second), shifts, strict=True))
        if not (one & two).any():
            fitting.append(shifts)
    if not fitting:
        raise InputError(f"scene {scene}: two objects do not fit into the array side by side; take a larger size")
    here, there = fitting[rng.integers(len(fitting))]
    object_ = np.roll(first.object, here, (0, 1)) + turn * np.roll(second.object, there, (0, 1))
    return replace(first, object=object_, support=object_ != 0)


def _fits(support: np.ndarray, shift: np.ndarray) -> bool:
    """Whether a shift moves the support around none of the array's edges."""
    for axis in (0, 1):
        filled = np.flatnonzero(support.any(1 - axis)) + shift[axis]
        if filled[0] < 0 or filled[-1] >= support.shape[axis]:
            return False
    return True
