"""A tantalum star chart that moves at constant velocity through a focused, partially coherent beam."""

from __future__ import annotations

import logging

import numpy as np
from pydantic import Field, model_validator

from cdipipe.optics.grid import pixel_axes
from cdipipe.simulation.movies.materials import TANTALUM, check_material, phase_per_metre
from cdipipe.simulation.movies.parameters import MovieParameters
from cdipipe.simulation.movies.probes import field_support, probe_modes
from cdipipe.simulation.registry import Sample, Scene

logger = logging.getLogger(__name__)

RING_RATIO = 1.75
"""Outer over inner radius of each ring of spokes."""
GAP_SHARE = 0.14
"""Open gap between two rings, as a share of the inner ring's outer radius."""
NARROWEST_PX = 2.0
"""Spokes narrower than this are left out: the star has a hole in its middle."""
EMPTY = 0.01
"""Warn where the star covers less than this share of the light in all frames together."""


class ChartParameters(MovieParameters):
    frame_time_s: float = Field(7.27e-3, gt=0, description="time from frame to frame: 7 ms of exposure and the readout")
    object_pixel_m: float = Field(20e-9, gt=0, description="pixel of the object; the distance follows from it")
    velocity_m_per_s: float = Field(340e-9, ge=0, description="speed of the chart")
    direction_deg: float = Field(0.0, description="direction of motion: 0 along the columns' axis, 90 down the rows")
    spokes: int = Field(24, ge=4, le=720, description="spokes around the star")
    thickness_m: float = Field(200e-9, gt=0, description="of the tantalum (not stated for the experiment)")
    inner_radius_m: float | None = Field(
        None, gt=0, description="hole in the middle; not given: where spokes are three pixels wide"
    )
    outer_radius_m: float | None = Field(
        None, gt=0, description="of the star; not given: it reaches beyond the array. A small one leaves the field"
    )
    start_offset: float = Field(
        0.25, ge=0, le=10, description="the star's centre starts up to this share of the field away, per axis"
    )
    probe_modes: int = Field(5, ge=1, le=10, description="incoherent modes of the probe")

    @model_validator(mode="after")
    def _possible(self):
        check_material(self, TANTALUM, "tantalum")
        narrowest = self.spokes * NARROWEST_PX / np.pi * self.object_pixel_m
        if self.inner_radius_m is not None and self.inner_radius_m < narrowest:
            raise ValueError(
                f"inner_radius_m {self.inner_radius_m:g}: {self.spokes} spokes are narrower than {NARROWEST_PX:g} "
                f"pixels there; at least {narrowest:.3g}"
            )
        if self.outer_radius_m is not None and self.outer_radius_m <= self.inner_m:
            raise ValueError(f"outer_radius_m {self.outer_radius_m:g}: must exceed the inner radius {self.inner_m:.3g}")
        return self

    @property
    def inner_m(self) -> float:
        """Radius of the hole in the middle of the star."""
        given = self.inner_radius_m
        return 3 * self.spokes / np.pi * self.object_pixel_m if given is None else given


def build(parameters: ChartParameters, rng: np.random.Generator) -> Sample:
    """One movie; start and orientation are random. The truth also has the star's places and its velocity."""
    p = parameters
    start = p.start_offset * p.field * p.object_pixel_m * rng.uniform(-1, 1, 2)
    turn = rng.uniform(0, 2 * np.pi)
    direction = np.deg2rad(p.direction_deg)
    velocity = p.velocity_m_per_s * np.array([np.sin(direction), np.cos(direction)])
    times = p.frame_times_s()
    positions = start + velocity * (times - times[-1] / 2)[:, None]
    opaque = np.expm1(phase_per_metre(p, TANTALUM) * p.thickness_m)
    frames = np.empty((p.frames, p.size, p.size), np.complex64)
    ever_covered = np.zeros((p.size, p.size))
    for frame, place in zip(frames, positions, strict=True):
        covered = star_coverage(p, place / p.object_pixel_m, turn)
        frame[:] = 1 + opaque * covered
        np.maximum(ever_covered, covered, out=ever_covered)
    modes = probe_modes(p)
    light = np.square(np.abs(modes)).sum(0)
    if np.average(ever_covered, weights=light) < EMPTY:
        logger.warning(
            "test_chart: hardly anything of the chart is in the light; take fewer spokes (now %d) or a larger size "
            "(now %d)", p.spokes, p.size,
        )  # fmt: skip
    support = np.broadcast_to(field_support(p.size, p.field, p.probe_aperture), frames.shape)
    extra = {"positions_m": positions, "velocity_m_per_s": velocity, "turn_rad": turn}
    return Sample(frames, support, "movie", None, modes, extra, geometry=p.geometry, frame_times_s=times)


def star_coverage(p: ChartParameters, centre_px: np.ndarray, turn_rad: float) -> np.ndarray:
    """Share of each pixel that the star covers, (size, size); moves smoothly with ``centre_px`` (row, column).

    From the distance to the nearest edge: straight edges cover a pixel as 1/2 plus that distance, within 0 and 1.
    """
    row, column = pixel_axes((p.size, p.size))
    row, column = row - centre_px[0], column - centre_px[1]
    radius = np.hypot(row, column)
    turns = (np.arctan2(row, column) + turn_rad) * p.spokes / (2 * np.pi)
    across = 0.25 - np.abs(np.mod(turns + 0.25, 1) - 0.5)  # of a period, from the edge; positive in a spoke
    spoke = np.clip(0.5 + across * radius * 2 * np.pi / p.spokes, 0, 1)
    ring = np.full(radius.shape, -1.0)
    for inner, outer in rings_px(p):
        np.maximum(ring, np.minimum(radius - inner, outer - radius), out=ring)
    return spoke * np.clip(0.5 + ring, 0, 1)


def rings_px(p: ChartParameters) -> list[tuple[float, float]]:
    """Inner and outer radius of every ring of spokes, pixels."""
    reach = 3.0 * p.size * (1 + p.start_offset) + p.velocity_m_per_s * p.frames * p.frame_time_s / p.object_pixel_m
    last = reach if p.outer_radius_m is None else p.outer_radius_m / p.object_pixel_m
    rings, inner = [], p.inner_m / p.object_pixel_m
    while inner < last:
        rings.append((inner, min(inner * RING_RATIO, last)))
        inner *= RING_RATIO * (1 + GAP_SHARE)
    return rings


SCENE = Scene(
    name="test_chart",
    summary="Movie of a tantalum star chart moving at 340 nm/s through a focused, partially coherent beam",
    reference="Hu, Yao, Zhang, Villanueva-Perez, Constraint-free coherent diffraction imaging via physics-guided "
    "neural fields (CDIP), section 2.4; experiment: Takazawa et al., Opt. Express 29, 14394 (2021); data: "
    "doi:10.5281/zenodo.12144981",
    parameters=ChartParameters,
    build=build,
    gives=lambda parameters: {"plane", "movie", "probe_modes"},
)
