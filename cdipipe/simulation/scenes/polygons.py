"""Convex polygons (or polyhedra) with a smooth random phase: the training set of CDI NN, in any size."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from cdipipe.optics.grid import central_slices, embed, pixel_axes
from cdipipe.simulation.registry import Sample, Scene
from cdipipe.simulation.shots import ShotSceneParameters
from cdipipe.simulation.sources.scattered_polygons import EDGE_CUT, EDGE_SIGMA_PX, LEAST_FILL, draw_polygons

CDI_NN_SIZE = 32
MIN_OBJECT_PX = 8
BATCH = 64
"""Polygons worked on at once: their arrays stay in the processor's cache."""


class PolygonParameters(ShotSceneParameters):
    object_size: int | None = Field(
        None,
        ge=MIN_OBJECT_PX,
        description="largest extent of the support along an axis, in pixels; not given: size / 4 (at least 8), but "
        "points scattered over the whole grid, undersampled, for size = 32 (over its middle half where padded)",
    )
    phase_range_rad: float | Literal["random"] = Field(
        2 * np.pi,
        description="phase, peak to peak over the support, 0 to 2 pi; random: uniform in 0 to 2 pi per sample",
    )
    count: int = Field(1, ge=1, description="independent patterns; more than one makes a stack of shots")
    dimensions: Literal[2, 3] = Field(2, description="2: polygons; 3: one convex polyhedron and its 3D pattern")
    padded: bool = Field(
        False, description="object within the middle half of the array (zero-padded to twice): oversampled by 2 or more"
    )
    beamstop_px: float = Field(0.0, ge=0, description="radius of the masked disc (ball) at the centre, in pixels")

    @model_validator(mode="after")
    def _possible(self):
        largest = self.size
        if self.object_size is not None and self.object_size > largest:
            raise ValueError(f"object_size {self.object_size} is larger than the array (size {largest})")
        if self.padded and (self.size % 2 or (self.object_size or 0) > self.size // 2):
            raise ValueError(f"padded needs an even size and an object_size of at most half of it (size {self.size})")
        if self.phase_range_rad != "random" and not 0 <= self.phase_range_rad <= 2 * np.pi + 1e-3:
            raise ValueError(f"phase_range_rad {self.phase_range_rad} is outside 0 to 2 pi")
        if self.beamstop_px > self.size / 2:
            raise ValueError(f"beamstop_px {self.beamstop_px} masks the whole array (size {self.size})")
        if self.dimensions == 3 and self.count > 1:
            raise ValueError(f"count {self.count} with dimensions 3: a file holds one volume")
        return self

    @property
    def grid_px(self) -> int | None:
        """Side of the grid over which the points are scattered; None where the extent is given."""
        if self.object_size is None and self.padded:
            return self.size // 2
        return self.size if self.object_size is None and self.size == CDI_NN_SIZE else None


def build(parameters: PolygonParameters, rng: np.random.Generator) -> Sample:
    """One polygon: amplitude 1 with blurred edges, phase a mixture of sine gratings and Gaussians, 0 outside."""
    if parameters.dimensions == 2 and parameters.grid_px is not None:
        return build_batch(parameters, [rng])[0]
    shape = (parameters.size,) * parameters.dimensions
    amplitude = _amplitude(parameters, rng)
    span = parameters.phase_range_rad
    span = rng.uniform(0, 2 * np.pi) if span == "random" else min(span, 2 * np.pi)
    exit_wave = embed(amplitude * np.exp(1j * _phase(amplitude > 0, span, rng)), shape)
    stop = _beam_stop(parameters.beamstop_px, shape)
    return Sample(exit_wave, exit_wave != 0, "volume" if parameters.dimensions == 3 else "single", stop)


def build_batch(parameters: PolygonParameters, rngs: list[np.random.Generator]) -> list[Sample]:
    """The polygons that :func:`build` draws with each generator; scattered points are worked on together."""
    grid = parameters.grid_px
    if parameters.dimensions == 3 or grid is None:
        return [build(parameters, rng) for rng in rngs]
    shape = (parameters.size,) * 2
    stop = _beam_stop(parameters.beamstop_px, shape)
    waves = np.zeros((len(rngs), *shape), np.complex128)
    inner = waves[(slice(None), *central_slices(shape, (grid, grid)))]
    for first in range(0, len(rngs), BATCH):
        draw_polygons(rngs[first : first + BATCH], grid, parameters.phase_range_rad, inner[first : first + BATCH])
    return [Sample(wave, support, "single", stop) for wave, support in zip(waves, waves != 0, strict=True)]


def _beam_stop(radius_px: float, shape: tuple[int, ...]) -> np.ndarray | None:
    return sum(x**2 for x in pixel_axes(shape)) < radius_px**2 if radius_px > 0 else None


def _amplitude(parameters: PolygonParameters, rng: np.random.Generator) -> np.ndarray:
    """Blurred hull in a block just large enough; hulls that are thin are drawn again."""
    rank, grid = parameters.dimensions, parameters.grid_px
    extent = parameters.object_size or max(parameters.size // 4, MIN_OBJECT_PX)
    while True:
        hull = _Hull(rng.uniform(-0.5, 0.5, (rng.integers(4, 13) + 4 * (rank - 2), rank)))
        if hull.fill < LEAST_FILL:
            continue
        if grid is not None:  # where the points fell on the grid, one pixel kept free for the blur
            return _blurred(hull, np.zeros(rank), grid - 2, (grid,) * rank)
        return _with_extent(hull, extent, (min(extent + 4, parameters.size),) * rank)


class _Hull:
    """Convex hull of points as half-spaces, with the centre and largest side of its box."""

    def __init__(self, points: np.ndarray):
        from scipy.spatial import ConvexHull

        low, high = points.min(0), points.max(0)
        self.extent = float((high - low).max())
        self.centre = (high + low) / 2
        hull = ConvexHull(points)
        self.normals, self.offsets = hull.equations[:, :-1], hull.equations[:, -1]
        self.fill = hull.volume / self.extent ** points.shape[1]

    def contains(self, axes: list[np.ndarray]) -> np.ndarray:
        inside = True
        for normal, offset in zip(self.normals, self.offsets, strict=True):
            inside = inside & (sum(n * x for n, x in zip(normal, axes, strict=True)) + offset <= 0)
        return inside


def _blurred(hull: _Hull, middle: np.ndarray, pixels: float, shape: tuple[int, ...]) -> np.ndarray:
    """Hull magnified by ``pixels``, its point ``middle`` at the centre, edges blurred with a Gaussian and cut."""
    from scipy.ndimage import gaussian_filter

    inside = hull.contains([x / pixels + m for x, m in zip(pixel_axes(shape), middle, strict=True)])
    amplitude = gaussian_filter(inside.astype(np.float64), EDGE_SIGMA_PX, mode="constant")
    return np.where(amplitude > EDGE_CUT, amplitude, 0.0)


def _with_extent(hull: _Hull, extent_px: int, shape: tuple[int, ...]) -> np.ndarray:
    """Hull magnified until its support, blur included, spans ``extent_px`` along its longer axis.

    A few shapes grow by two pixels at once: they get one less, never one more.
    """
    pixels, too_small, too_large = float(extent_px), 0.0, 2.0 * extent_px
    fitting = None
    for _ in range(12):
        amplitude = _blurred(hull, hull.centre, pixels / hull.extent, shape)
        excess = max(int(np.ptp(index)) + 1 for index in np.nonzero(amplitude)) - extent_px
        if excess <= 0:
            fitting, too_small = amplitude, pixels
        else:
            too_large = pixels
        if excess == 0:
            break
        step = pixels - 0.9 * excess
        pixels = step if too_small < step < too_large else (too_small + too_large) / 2
    return fitting


def _phase(support: np.ndarray, span: float, rng: np.random.Generator) -> np.ndarray:
    """Sine gratings and Gaussians of random number, weight, period, width and place; ``span`` on the support."""
    shape, axes, inside = support.shape, pixel_axes(support.shape), np.nonzero(support)
    low = np.array([index.min() - n // 2 for index, n in zip(inside, shape, strict=True)])
    high = np.array([index.max() - n // 2 for index, n in zip(inside, shape, strict=True)])
    extent = float((high - low).max()) + 1
    field = np.zeros(shape)
    for _ in range(rng.integers(1, 5)):
        direction = rng.normal(size=len(shape))
        direction /= np.linalg.norm(direction) * extent * np.exp(rng.uniform(np.log(0.35), np.log(2.0)))
        angle = 2 * np.pi * (sum(d * x for d, x in zip(direction, axes, strict=True)) + rng.uniform())
        field += rng.uniform(-1, 1) * np.sin(angle)
    for _ in range(rng.integers(1, 5)):
        place, width = rng.uniform(low, high), extent * rng.uniform(0.1, 0.35)
        distance2 = sum((x - p) ** 2 for x, p in zip(axes, place, strict=True))
        field += rng.uniform(-2, 2) * np.exp(-distance2 / (2 * width**2))
    bottom, top = field[support].min(), field[support].max()
    return np.where(support, ((field - bottom) / (top - bottom) - 0.5) * span, 0.0)


SCENE = Scene(
    name="polygons",
    summary="Convex polygons (polyhedra) of amplitude 1 with a random smooth phase",
    reference="Cherukara, Nashed, Harder, Sci. Rep. 8, 16520 (2018), doi:10.1038/s41598-018-34525-1 (Methods)",
    parameters=PolygonParameters,
    build=build,
    build_batch=build_batch,
)
