"""Brownian gold nanoparticles in polyvinyl alcohol, as a movie for dynamic imaging."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from cdipipe.optics.grid import pixel_axes
from cdipipe.simulation.movies.materials import GOLD, check_material, phase_per_metre
from cdipipe.simulation.movies.parameters import MovieParameters
from cdipipe.simulation.movies.probes import field_support, probe_modes
from cdipipe.simulation.registry import Sample, Scene

BOLTZMANN_J_PER_K = 1.380649e-23
SUBPIXELS = 4
"""A particle's thickness in a pixel is the mean over this many points per axis."""
OPEN_MARGIN = 1.6
"""With open boundary the particles wander in a square this much wider than the field."""


class ParticleParameters(MovieParameters):
    photons: float = Field(3e7, ge=0, le=1e15, description="mean total detected per frame; 0: noise-free")
    particle_count: int = Field(12, ge=1, le=2000, description="particles in the square in which they move")
    particle_diameter_m: float = Field(150e-9, gt=0, description="mean diameter of the spheres")
    diameter_spread: float = Field(0.05, ge=0, lt=0.5, description="standard deviation of the diameters over the mean")
    temperature_k: float = Field(298.15, gt=0, description="temperature of the solution")
    viscosity_pa_s: float = Field(
        0.03, gt=0, description="viscosity; 4.5 wt% polyvinyl alcohol: about 0.03, by its molar mass"
    )
    boundary: Literal["reflecting", "periodic", "open"] = Field(
        "reflecting", description="of the field; open: particles leave it and others enter"
    )
    jump_probability: float = Field(
        0.0, ge=0, le=1, description="chance per particle and frame to jump to a random place of its square"
    )
    illumination: Literal["plane", "probe"] = Field(
        "plane",
        description="plane: a plane wave of which only the scattered part T - 1 is kept, so the exit wave is isolated; "
        "probe: a focused beam, the object is the transmission T",
    )
    probe_modes: int = Field(4, ge=1, le=10, description="incoherent modes of the probe")

    @model_validator(mode="after")
    def _possible(self):
        check_material(self, GOLD, "gold")
        widest_px = (1 + 4 * self.diameter_spread) * self.particle_diameter_m / self.object_pixel_m
        if widest_px > self.field / 2:
            raise ValueError(
                f"particle_diameter_m {self.particle_diameter_m:g} is {widest_px:.0f} pixels at most; the field of "
                f"{self.field} pixels holds particles up to half of it"
            )
        return self

    @property
    def box_m(self) -> float:
        """Side of the square in which the particles move."""
        within_disc = self.illumination == "probe" and self.probe_aperture == "round" and self.boundary != "open"
        side_px = self.field / np.sqrt(2) if within_disc else self.field
        return side_px * (OPEN_MARGIN if self.boundary == "open" else 1.0) * self.object_pixel_m


def diffusion_m2_per_s(temperature_k: float, viscosity_pa_s: float, diameter_m: np.ndarray) -> np.ndarray:
    """Stokes-Einstein: D = k T / (3 pi eta d)."""
    return BOLTZMANN_J_PER_K * temperature_k / (3 * np.pi * viscosity_pa_s * diameter_m)


def build(parameters: ParticleParameters, rng: np.random.Generator) -> Sample:
    """One movie; the truth also has the track, diameter and diffusion coefficient of every particle."""
    p = parameters
    spread = np.clip(rng.standard_normal(p.particle_count), -3, 3)
    diameters = p.particle_diameter_m * (1 + p.diameter_spread * spread)
    diffusion = diffusion_m2_per_s(p.temperature_k, p.viscosity_pa_s, diameters)
    positions, steps, jumped = _tracks(p, diameters, diffusion, rng)
    frames = _scattered_waves(p, positions, diameters)
    shape, times = frames.shape, p.frame_times_s()
    extra = {
        "positions_m": positions,
        "steps_m": steps,
        "jumped": jumped,
        "diameters_m": diameters,
        "diffusion_m2_per_s": diffusion,
        "box_m": p.box_m,
        "boundary": p.boundary,
    }
    if p.illumination == "probe":
        frames += 1
        modes = probe_modes(p)
        support = np.broadcast_to(field_support(p.size, p.field, p.probe_aperture), shape)
        return Sample(frames, support, "movie", None, modes, extra, geometry=p.geometry, frame_times_s=times)
    window = _window(p)
    energy = 0.0
    for frame in frames:
        frame *= window
        energy += np.sum(np.abs(frame.astype(np.complex128)) ** 2) / p.frames
    incident = p.photons / energy if p.photons > 0 and energy > 0 else 1.0
    extra["incident_photons_per_pixel"] = float(incident)
    frames *= np.float32(np.sqrt(incident))
    support = np.broadcast_to(window > 0, shape)
    return Sample(frames, support, "movie", None, None, extra, True, geometry=p.geometry, frame_times_s=times)


def _scattered_waves(p: ParticleParameters, positions: np.ndarray, diameters: np.ndarray) -> np.ndarray:
    """T - 1 of every frame, (T, size, size) complex64."""
    log_transmission = phase_per_metre(p, GOLD)
    frames = np.empty((p.frames, p.size, p.size), np.complex64)
    for frame, places in zip(frames, positions, strict=True):
        frame[:] = np.expm1(log_transmission * _thickness(p, places, diameters))
    return frames


def _tracks(
    p: ParticleParameters, diameters: np.ndarray, diffusion: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions (T, K, 2) from the centre, the free steps (T - 1, K, 2) between, and where a jump was (T - 1, K)."""
    half = np.full(p.particle_count, p.box_m / 2)
    if p.boundary == "reflecting":
        half = half - diameters / 2
    sigma = np.sqrt(2 * diffusion * p.frame_time_s)
    steps = sigma[:, None] * rng.standard_normal((p.frames - 1, p.particle_count, 2))
    jumped = rng.random((p.frames - 1, p.particle_count)) < p.jump_probability
    places = half[:, None] * rng.uniform(-1, 1, (p.frames, p.particle_count, 2))
    positions = np.empty_like(places)
    positions[0] = _apart(places[0], diameters, half, rng)
    for frame in range(1, p.frames):
        moved = np.where(jumped[frame - 1, :, None], places[frame], positions[frame - 1] + steps[frame - 1])
        positions[frame] = _confined(moved, half[:, None], p.boundary)
    return positions, steps, jumped


def _apart(places: np.ndarray, diameters: np.ndarray, half: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """First places, drawn again (up to 200 times each) where a sphere would overlap one before it."""
    places = places.copy()
    for i in range(1, len(places)):
        for _ in range(200):
            distance = np.hypot(*(places[:i] - places[i]).T)
            if (distance > (diameters[:i] + diameters[i]) / 2).all():
                break
            places[i] = half[i] * rng.uniform(-1, 1, 2)
    return places


def _confined(places: np.ndarray, half: np.ndarray, boundary: str) -> np.ndarray:
    """Places folded back into the square: mirrored at its sides, or entering at the opposite one."""
    if boundary == "reflecting":
        folded = np.mod(places + half, 4 * half)
        return np.where(folded > 2 * half, 4 * half - folded, folded) - half
    return np.mod(places + half, 2 * half) - half


def _thickness(p: ParticleParameters, places_m: np.ndarray, diameters_m: np.ndarray) -> np.ndarray:
    """Gold along the beam in metres, (size, size); what crosses a periodic boundary appears on both sides."""
    thickness = np.zeros((p.size, p.size))
    box_px = p.box_m / p.object_pixel_m
    shifts = (-box_px, 0.0, box_px) if p.boundary == "periodic" else (0.0,)
    for place, diameter in zip(places_m / p.object_pixel_m, diameters_m / p.object_pixel_m, strict=True):
        for row in shifts:
            for column in shifts:
                _add_sphere(thickness, place + np.array([row, column]), diameter / 2)
    return thickness * p.object_pixel_m


def _add_sphere(thickness: np.ndarray, place_px: np.ndarray, radius_px: float) -> None:
    """Add 2 sqrt(R^2 - r^2), averaged over each pixel, in place; what lies outside the array is cut off."""
    size = len(thickness)
    low = np.maximum(np.floor(place_px - radius_px).astype(int) - 1 + size // 2, 0)
    high = np.minimum(np.ceil(place_px + radius_px).astype(int) + 2 + size // 2, size)
    if (low >= high).any():
        return
    offsets = (np.arange(SUBPIXELS) + 0.5) / SUBPIXELS - 0.5
    row, column = (
        (np.arange(a, b)[:, None] - size // 2 + offsets).ravel() - centre
        for a, b, centre in zip(low, high, place_px, strict=True)
    )
    chord = 2 * np.sqrt(np.maximum(radius_px**2 - row[:, None] ** 2 - column[None, :] ** 2, 0))
    fine = chord.reshape(high[0] - low[0], SUBPIXELS, high[1] - low[1], SUBPIXELS)
    thickness[low[0] : high[0], low[1] : high[1]] += fine.mean(axis=(1, 3))


def _window(p: ParticleParameters) -> np.ndarray:
    """The square field of the plane wave, its sides falling to zero over two pixels outside of it."""
    row, column = pixel_axes((p.size, p.size))
    sides = [np.clip((p.field / 2 + 2 - np.abs(axis)) / 2, 0, 1) for axis in (row, column)]
    return sides[0] * sides[1]


SCENE = Scene(
    name="particles",
    summary="Movie of Brownian gold spheres in polyvinyl alcohol, in a plane wave or a focused partially coherent beam",
    reference="Hu, Yao, Zhang, Villanueva-Perez, Constraint-free coherent diffraction imaging via physics-guided "
    "neural fields (CDIP), section 2.4: 150 nm gold in 4.5 wt% polyvinyl alcohol; data: doi:10.5281/zenodo.12144981",
    parameters=ParticleParameters,
    build=build,
    gives=lambda parameters: {"plane", "movie", "probe_modes" if parameters.illumination == "probe" else "alone"},
)
