"""Parameters of a movie of something thin in a coherent beam."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from cdipipe.measurement import Geometry
from cdipipe.simulation.registry import SceneParameters, far_field_geometry


class MovieParameters(SceneParameters):
    """A movie of something thin in a coherent beam."""

    frames: int = Field(50, ge=2, le=100000, description="frames of the movie")
    frame_time_s: float = Field(7e-3, gt=0, description="time from frame to frame; each is a snapshot")
    energy_ev: float = Field(6500.0, gt=0, description="photon energy (not stated for these experiments)")
    object_pixel_m: float = Field(12e-9, gt=0, description="pixel of the object; the distance follows from it")
    detector_pixel_m: float = Field(75e-6, gt=0, description="pixel of the detector")
    field_px: int | None = Field(
        None, ge=8, description="width of the illuminated field, in object pixels; not given: size / 2"
    )
    probe_aperture: Literal["round", "triangle"] = Field(
        "triangle", description="shape of the aperture that cuts the probe; that of the experiments is a triangle"
    )
    second_mode_weight: float = Field(0.3, gt=0, lt=1, description="weight of a mode over that of the order before")
    probe_curvature_rad: float = Field(1.5, description="phase of the probe at the rim of the field")
    delta: float | None = Field(None, ge=0, lt=1, description="refractive index 1 - delta + i beta; not given: metal's")
    beta: float | None = Field(None, ge=0, lt=1, description="absorption; not given: metal's")

    @model_validator(mode="after")
    def _movie_possible(self):
        if self.field_px is not None and self.field_px > self.size:
            raise ValueError(f"field_px {self.field_px} is larger than the array (size {self.size})")
        return self

    @property
    def field(self) -> int:
        """Width of the illuminated field, pixels: a disc's diameter, a triangle's side."""
        return self.size // 2 if self.field_px is None else self.field_px

    @property
    def geometry(self) -> Geometry:
        """Far-field geometry whose object pixel is ``object_pixel_m``."""
        return far_field_geometry(self.energy_ev, self.object_pixel_m, self.detector_pixel_m, self.size)

    def frame_times_s(self) -> np.ndarray:
        return np.arange(self.frames) * self.frame_time_s
