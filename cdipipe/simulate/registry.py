"""What a scene is, and how the scenes of this package are found.

A scene is one file in this package with an attribute ``SCENE``. Dropping the file in is all it takes: nothing here
lists names. Scene files import no torch at module level, so that a configuration is validated without it.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

import cdipipe.simulate
from cdipipe.measurement import Stack
from cdipipe.settings import unknown_name


class SceneParameters(BaseModel):
    """Parameters that every scene has; frozen, unknown keys forbidden."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    size: int = Field(256, ge=16, le=16384, description="array pixels per axis")
    photons: float = Field(
        1e6, ge=0, le=1e15, description="mean total detected per pattern, beam stop not counted off; 0: noise-free"
    )


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
    """

    object: np.ndarray
    support: np.ndarray
    stack: Stack = "single"
    unmeasured: np.ndarray | None = None


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
    """

    name: str
    summary: str
    reference: str
    parameters: type[SceneParameters]
    build: Callable[[SceneParameters, np.random.Generator], Sample]


@functools.cache
def all_scenes() -> dict[str, Scene]:
    """Every scene by name, in alphabetical order."""
    scenes = {}
    for module_info in pkgutil.iter_modules(cdipipe.simulate.__path__):
        module = importlib.import_module(f"cdipipe.simulate.{module_info.name}")
        if isinstance(getattr(module, "SCENE", None), Scene):
            scenes[module.SCENE.name] = module.SCENE
    return dict(sorted(scenes.items()))


def get_scene(name: str, where: str = "") -> Scene:
    """The scene called ``name``, or an InputError that lists the known ones."""
    scenes = all_scenes()
    if name not in scenes:
        raise unknown_name("scene", name, scenes, where)
    return scenes[name]
