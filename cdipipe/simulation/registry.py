"""What a scene is, and how the scenes of this package are found.

A scene is one file in ``cdipipe/simulation/scenes`` with an attribute ``SCENE``, or an entry point of the group
``cdipipe.scenes``, see ``cdipipe.plugins``: nothing here lists names. Scene files import no torch at module level, so
that a configuration is validated without it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ConfigDict, Field

import cdipipe.simulation.scenes
from cdipipe.bounds import Bounded
from cdipipe.measurement import PLANCK_TIMES_C_EV_M, Geometry, Stack
from cdipipe.plugins import Registry, in_modules
from cdipipe.simulation.detector_parameters import DetectorParameters


class SceneParameters(Bounded):
    """Parameters that every scene has; frozen, unknown keys forbidden."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    size: int = Field(256, ge=16, le=16384, description="array pixels per axis")
    photons: float = Field(
        1e6, ge=0, le=1e15, description="mean total detected per pattern, beam stop not counted off; 0: noise-free"
    )
    noise_draw: int = Field(
        0, ge=0, description="number of the noise draw: other counts of the same objects on the same detector"
    )
    detector: DetectorParameters = Field(
        DetectorParameters(), description="coherence, noise, saturation and mask; keys such as detector.coherence_px"
    )

    def input_files(self) -> list[Path]:
        """Files that the scene itself reads."""
        return []

    def all_files(self) -> list[Path]:
        """Every file that a sample depends on, those of the detector's masks among them, for the provenance."""
        return [*self.input_files(), *self.detector.mask.files()]


@dataclass(frozen=True)
class Sample:
    """One draw of a scene, before light falls on it.

    Parameters
    ----------
    object : (H, W), (D, H, W) or (T, H, W) complex, centred at ``N // 2``; its scale does not matter
    support : bool, same shape; the object is zero outside
    stack : ``single``, ``volume`` or ``movie``; what the first axis means
    unmeasured : bool, shape of one pattern, optional
        Pixels that the detector misses (beam stop, gaps).
    probe_modes : (M, H, W) complex, optional
        Incoherent modes of the illumination; exit waves are probe * object. With them the object is a transmission and
        keeps its scale, and the probes are scaled to the photons. The same for all samples of a scene.
    extra : arrays and plain data by name that go into the truth's file; for stacks of samples of one shape each
    photons_scaled : True: the object (or the probes) and the static region are in sqrt(photons) already; ``photons``
        then only decides whether there is noise (> 0)
    static_region : (H, W) complex, optional
        Known structure beside the object, on the object's scale. The pattern is of both together.
    static_support : bool, (H, W); None: where ``static_region`` is not zero
    static_known : False: the measurement tells where the static structure is, not what it is
    object_support : bool, (H, W), optional; what an experimenter would know of the support, perhaps too large
    geometry : energy, distance, pixel, where the scene has them; passed on to the files
    frame_times_s : (T,) float64, optional; of a movie
    """

    object: np.ndarray
    support: np.ndarray
    stack: Stack = "single"
    unmeasured: np.ndarray | None = None
    probe_modes: np.ndarray | None = None
    extra: dict[str, Any] | None = None
    photons_scaled: bool = False
    static_region: np.ndarray | None = None
    static_support: np.ndarray | None = None
    static_known: bool = True
    object_support: np.ndarray | None = None
    geometry: Geometry = field(default_factory=Geometry)
    frame_times_s: np.ndarray | None = None


def far_field_geometry(energy_ev: float, object_pixel_m: float, detector_pixel_m: float, size: int) -> Geometry:
    """Where a detector of ``size`` pixels has to stand for the object to have its pixel."""
    wavelength_m = PLANCK_TIMES_C_EV_M / energy_ev
    return Geometry(energy_ev, object_pixel_m * size * detector_pixel_m / wavelength_m, detector_pixel_m)


def is_volume(parameters: SceneParameters) -> bool:
    """Whether a scene that can be either makes volumes."""
    return getattr(parameters, "dimensions", 2) == 3


@dataclass(frozen=True)
class Scene:
    """One kind of simulated object.

    Parameters
    ----------
    name, summary, reference : str
        As shown by ``cdipipe scenes``.
    parameters : subclass of SceneParameters
    build : ``(parameters, rng) -> Sample``
        One sample; everything random comes from the numpy Generator.
    build_batch : ``(parameters, rngs) -> list[Sample]``, optional
        The same samples, bit for bit, as ``build`` makes one by one with each of the generators, only faster.
    views : ``(parameters) -> number``
        How many samples in a row are views of one object, such as the reflections of a crystal.
    build_views : ``(parameters, rng, numbers) -> list[Sample]``, with ``views``
        Some of the views, by their numbers from 0, of the one object that the generator draws.
    gives : ``(parameters) -> names``
        What its measurements have, in the words of a method's ``needs``.
    open_extra : names of further truth that is no secret: it goes into the measurement's provenance, too
    """

    name: str
    summary: str
    reference: str
    parameters: type[SceneParameters]
    build: Callable[[SceneParameters, np.random.Generator], Sample]
    build_batch: Callable[[SceneParameters, list[np.random.Generator]], list[Sample]] | None = None
    views: Callable[[Any], int] = lambda parameters: 1
    build_views: Callable[[Any, np.random.Generator, list[int]], list[Sample]] | None = None
    gives: Callable[[Any], set[str]] = lambda parameters: {"alone", "volume" if is_volume(parameters) else "plane"}
    open_extra: tuple[str, ...] = ()

    def build_many(self, parameters: SceneParameters, rngs: list[np.random.Generator]) -> list[Sample]:
        """One sample per generator, in their order; together where the scene can do that."""
        if self.build_batch is not None:
            return self.build_batch(parameters, rngs)
        return [self.build(parameters, rng) for rng in rngs]


SCENES = Registry("scene", "cdipipe.scenes", Scene, in_modules(cdipipe.simulation.scenes, "SCENE"))


def all_scenes() -> dict[str, Scene]:
    """Every scene by name; those of this package in alphabetical order, then those of others."""
    return SCENES.all()


def get_scene(name: str, where: str = "") -> Scene:
    """The scene called ``name``, or an InputError that lists the known ones."""
    return SCENES.get(name, where)
