"""A strained crystal and the rocking curve of one of its Bragg peaks, as a beamline's detector would record it.

The crystal is made in its own frame (z along Q), carried into the lab, and sampled on the skewed grid that belongs to
the rocking curve. Its phase is -Q.u. It is made on finer voxels first, and what lies outside the recorded part of
reciprocal space is taken away: the edges that a detector of finite size can see.
"""

from __future__ import annotations

import itertools
from typing import Any, Literal

import numpy as np
from pydantic import Field, model_validator

from cdipipe.simulation.registry import Sample, Scene, SceneParameters

FINER = 2
"""Voxels of the first grid per voxel of the result, along each axis."""


class BraggParameters(SceneParameters):
    size: int = Field(64, ge=16, le=512, description="detector pixels per axis")
    positions: int = Field(64, ge=16, le=512, description="rocking positions")
    photons: float = Field(1e8, ge=0, le=1e15, description="mean total detected per rocking curve; 0: noise-free")
    beamline: str = Field("aps_34idc", description="see `cdipipe beamlines`; or a YAML file")
    motor: str | None = Field(None, description="circle that is rocked; not given: the beamline's usual one")
    energy_ev: float = Field(9000.0, gt=1000, lt=100_000, description="photon energy")
    lattice: str = Field("gold", description="material, or cell in nm; facets are those of a cubic one")
    hkl: tuple[int, int, int] = Field((1, 1, 1), description="reflection")
    diameter_nm: float = Field(300.0, gt=1, le=1e5, description="about the diameter of the crystal")
    voxels: float = Field(
        30.0, ge=8, description="voxels across the diameter; distance_m and step_deg follow where they are not given"
    )
    distance_m: float | None = Field(None, gt=0, description="sample to detector")
    step_deg: float | None = Field(None, gt=0, lt=5, description="rocking step")
    displacement: Literal["smooth", "bend", "inclusion", "screw", "edge", "vector", "none"] = Field(
        "smooth",
        description="smooth, bend, inclusion: scaled to phase_range_rad; screw, edge: a dislocation, Q.b = 2 pi; "
        "vector: three components in the axes of the cubic lattice, the same for every hkl of one seed",
    )
    phase_range_rad: float = Field(2.5, ge=0, le=60, description="range of the phase inside, without its mean ramp")
    roughness: float = Field(0.12, ge=0, lt=0.5, description="relative spread of the facets' distances from the middle")
    peak_offset_px: tuple[float, float, float] = Field(
        (0.3, -0.4, 0.2), description="how far the peak lies off the array's centre: position, row, column"
    )
    atoms: bool = Field(
        False, description="relax a gold crystal of edge diameter_nm (at most 40) atom by atom with LAMMPS"
    )
    crystal: dict[str, Any] = Field({}, description="with atoms: settings of scene `crystal`: {strain_max: 0.01}")

    @model_validator(mode="after")
    def _possible(self):
        if self.voxels > 0.75 * min(self.size, self.positions):
            raise ValueError(
                f"{self.voxels:g} voxels across do not fit into {self.positions} positions and {self.size} pixels with "
                "room around; at most 0.75 of them"
            )
        if self.atoms and (self.diameter_nm > 40 or self.lattice != "gold"):
            raise ValueError("atoms: a gold crystal of at most 40 nm; set diameter_nm and lattice: gold")
        for what, offset, length in zip(("scan", "detector", "detector"), self.peak_offset_px, self.shape, strict=True):
            if abs(offset) >= length / 2:
                raise ValueError(
                    f"peak_offset_px {offset:g}: the peak would lie outside the {what}, which ends {length / 2:g} px "
                    "from its centre"
                )
        if not any(self.hkl):
            raise ValueError("hkl 0,0,0 is no reflection")
        return self

    @property
    def dimensions(self) -> int:
        return 3

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.positions, self.size, self.size


def build(parameters: BraggParameters, rng: np.random.Generator) -> Sample:
    """One crystal; the truth has the displacement along Q in nm and the voxel axes."""
    from cdipipe.optics.bragg_frame import bragg_frame
    from cdipipe.simulation.rocking import cubic_to_lab, with_mount

    geometry = _geometry(parameters)
    frame = bragg_frame(geometry, parameters.shape)
    more = {}
    if parameters.displacement == "vector" and not parameters.atoms:
        geometry = with_mount(geometry, cubic_to_lab(frame, parameters.hkl))
        object_, inside, displacement, vectors = _with_vectors(parameters, bragg_frame(geometry, parameters.shape), rng)
        more = {"displacement_vectors_nm": vectors.astype(np.float32)}
    else:
        make = _from_atoms if parameters.atoms else _from_formula
        object_, inside, displacement = make(parameters, frame, rng)
    extra = {
        "displacement_nm": displacement.astype(np.float32),
        "voxel_nm": frame.voxel_nm,
        "voxel_angles_deg": frame.voxel_angles_deg,
        "d_spacing_nm": frame.d_spacing_nm,
        **more,
    }
    return Sample(object_.astype(np.complex64), inside, "volume", geometry=geometry, extra=extra)


def _geometry(p: BraggParameters):
    from cdipipe.beamlines.registry import get_beamline
    from cdipipe.optics.lattice import get_lattice
    from cdipipe.simulation.rocking import rocking_geometry

    d_nm = get_lattice(p.lattice).spacing_nm(p.hkl)
    voxel = p.diameter_nm / p.voxels
    return rocking_geometry(
        get_beamline(p.beamline), p.shape, d_nm, p.energy_ev, voxel, p.distance_m, p.step_deg, p.motor
    )


def _places(frame, shape: tuple[int, int, int], finer: int) -> np.ndarray:
    """Places (D, H, W, 3) in nm in the crystal frame of a grid of finer voxels over the same box."""
    from cdipipe.simulation.rocking import crystal_axes

    return _index(shape, finer) @ (frame.voxels_nm.T @ crystal_axes(frame).T)


def facet_normals(hkl: tuple[int, int, int]) -> np.ndarray:
    """Normals (14, 3) of {111} and {100} in the crystal frame."""
    from cdipipe.optics.lattice import rotation_to_z

    return cubic_normals() @ rotation_to_z(hkl).T


def cubic_normals() -> np.ndarray:
    """Normals (14, 3) of {111} and {100} in the axes of the lattice."""
    corners = np.array(list(itertools.product((-1, 1), repeat=3))) / np.sqrt(3)
    faces = np.array([sign * axis for axis in np.eye(3) for sign in (1, -1)])
    return np.concatenate([corners, faces])


def _from_formula(p: BraggParameters, frame, rng):
    from cdipipe.simulation.crystals.displacements import DISLOCATIONS, SCALED

    radius = p.diameter_nm / 2
    normals = facet_normals(p.hkl)
    distances = radius * np.where(np.arange(len(normals)) < 8, 0.86, 0.95)
    distances = distances * (1 + p.roughness * rng.uniform(-1, 1, len(normals)))
    offset = frame.voxels_nm @ rng.uniform(-0.5, 0.5, 3)
    state = rng.bit_generator.state

    def crystal(finer: int):
        rng.bit_generator.state = state
        places = _places(frame, p.shape, finer) - offset
        inside = np.all(places @ normals.T < distances, axis=-1)
        if p.displacement in DISLOCATIONS:
            return inside, DISLOCATIONS[p.displacement](places, radius, rng, frame.d_spacing_nm)
        if p.displacement == "none" or p.phase_range_rad == 0:
            return inside, np.zeros(inside.shape)
        return inside, SCALED[p.displacement](places, radius, rng)

    inside, displacement = crystal(1)
    fine_inside, fine = crystal(FINER)
    if p.displacement in SCALED and p.phase_range_rad > 0:
        flat, scale = _scale(displacement, inside, p.phase_range_rad, frame)
        displacement = scale * (displacement - flat(_index(p.shape, 1)))
        fine = scale * (fine - flat(_index(p.shape, FINER)))
    wave = fine_inside * np.exp(-1j * np.linalg.norm(frame.q_per_nm) * fine)
    return _recorded(wave, p), inside, displacement


def _with_vectors(p: BraggParameters, frame, rng):
    """A crystal and its displacement in the axes of the cubic lattice, which are those of the sample.

    Shape and field depend on the seed alone, not on the reflection, so that several scenes are one crystal.
    """
    from cdipipe.simulation.crystals.displacements import vector

    radius = p.diameter_nm / 2
    normals = cubic_normals()
    distances = radius * np.where(np.arange(len(normals)) < 8, 0.86, 0.95)
    distances = distances * (1 + p.roughness * rng.uniform(-1, 1, len(normals)))
    state = rng.bit_generator.state
    along = np.asarray(p.hkl) / np.linalg.norm(p.hkl)
    largest = p.phase_range_rad / np.linalg.norm(frame.q_per_nm)

    def crystal(finer: int):
        rng.bit_generator.state = state
        places = _index(p.shape, finer) @ (frame.voxels_nm.T @ frame.sample_to_lab)
        inside = np.all(places @ normals.T < distances, axis=-1)
        return inside, largest * vector(places, radius, rng)

    inside, vectors = crystal(1)
    fine_inside, fine = crystal(FINER)
    wave = fine_inside * np.exp(-1j * np.linalg.norm(frame.q_per_nm) * (fine @ along))
    return _recorded(wave, p), inside, vectors @ along, vectors


def _index(shape, finer: int) -> np.ndarray:
    """Indices (D, H, W, 3) from the centre of a grid of finer voxels, in voxels of the result."""
    index = [(np.arange(finer * size) - finer * size // 2) / finer for size in shape]
    return np.stack(np.meshgrid(*index, indexing="ij"), axis=-1)


def _scale(displacement, inside, phase_range_rad: float, frame):
    """What takes the mean ramp off a displacement, and the factor that gives its phase the range asked for."""
    index = _index(inside.shape, 1)[inside]
    design = np.column_stack([index, np.ones(len(index))])
    fit = np.linalg.lstsq(design, displacement[inside], rcond=None)[0]
    rest = displacement[inside] - design @ fit
    scale = phase_range_rad / (np.linalg.norm(frame.q_per_nm) * np.ptp(rest))
    return lambda places: places @ fit[:3] + fit[3], scale


def _recorded(wave: np.ndarray, p: BraggParameters) -> np.ndarray:
    """What the recorded part of reciprocal space tells of an object on finer voxels, with the peak off the centre."""
    from cdipipe.optics.grid import central_slices, pixel_axes

    for places, size, offset in zip(pixel_axes(wave.shape), wave.shape, p.peak_offset_px, strict=True):
        wave = wave * np.exp(2j * np.pi * offset * places / size)
    spectrum = np.fft.fftshift(np.fft.fftn(np.fft.ifftshift(wave)))
    recorded = spectrum[central_slices(wave.shape, p.shape)]
    return np.fft.fftshift(np.fft.ifftn(np.fft.ifftshift(recorded))) / FINER**3


def _from_atoms(p: BraggParameters, frame, rng):
    """A crystal relaxed by LAMMPS, each atom with the phase of its displacement."""
    from cdipipe.optics.lattice import rotation_to_z
    from cdipipe.settings import validate
    from cdipipe.simulation.crystals.atoms import gather, mostly_full
    from cdipipe.simulation.rocking import crystal_axes
    from cdipipe.simulation.scenes.crystal import CrystalParameters, make_crystal

    settings = {"block_nm": p.diameter_nm, "size": 256, **p.crystal}
    atoms = make_crystal(validate(CrystalParameters, settings, "bragg.crystal"), rng)
    to_lab = crystal_axes(frame).T @ rotation_to_z(p.hkl)
    indices = frame.indices(atoms.strained / 10 @ to_lab.T)
    along = atoms.displacement / 10 @ (np.asarray(p.hkl) / np.linalg.norm(p.hkl))
    phases = -np.linalg.norm(frame.q_per_nm) * along
    centre = np.asarray(p.shape) // 2
    fine_shape = tuple(FINER * size for size in p.shape)
    fine = gather(FINER * (indices - centre) + np.asarray(fine_shape) // 2, phases, along, fine_shape)
    coarse = gather(indices, phases, along, p.shape)
    inside = mostly_full(coarse.density)
    bulk = float(np.median(coarse.density[inside]))
    return _recorded(fine.wave * FINER**3 / bulk, p), inside, coarse.mean


SCENE = Scene(
    name="bragg",
    summary="A strained crystal and the skewed rocking curve of its Bragg peak at a beamline",
    reference="Robinson & Harder, Nat. Mater. 8, 291 (2009), doi:10.1038/nmat2400",
    parameters=BraggParameters,
    build=build,
    gives=lambda parameters: {"volume", "alone"},
)
