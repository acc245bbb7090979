"""Strained gold crystals, relaxed atom by atom with LAMMPS, and their Bragg peaks: the set of 3D-CDI-NN, and more.

The object is the number density times e^{+i phase} with phase = Q.u = 2 pi (u_x + u_y + u_z) / a, as the paper has it.
Under the transform of this package, which has e^{-i q.r}, a displacement u = strain . r therefore moves the peak by
+strain . Q. (In nature a stretched lattice moves it by -strain . Q; from one peak the two cannot be told apart, since
they are twins.) Axes 0, 1, 2 of all arrays are x, y, z of the cubic lattice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from pydantic import Field, model_validator

from cdipipe.simulation.crystals.shapes import LATTICE_CONSTANT_A, Shape, cells_per_edge, draw_shape
from cdipipe.simulation.registry import Sample, Scene, SceneParameters

MOST_PLANES = 26
HOLD_VALUES = {"iterations": 8, "etol": 1e-5, "clamp": 0.1, "spring": 0.1}
FILLED_AT_MOST = 0.8
"""Share of the grid's edge that the uncut block takes when the voxel is chosen here; the paper's is 24.5 / 32."""
LoadKind = Literal["bend", "twist", "clamps", "inclusion", "core_shell", "dislocation", "fault"]
Miller = tuple[int, int, int]
AXES_111 = np.array([(1, 1, 1), (-1, 1, 1), (1, -1, 1), (1, 1, -1)]) / np.sqrt(3)


class CrystalParameters(SceneParameters):
    size: int = Field(32, ge=16, le=256, description="array voxels per axis; larger than object_size: zero-padded")
    object_size: int | None = Field(
        None, ge=8, description="voxels per axis of the grid that the crystal is binned on; not given: size"
    )
    block_nm: float = Field(8.0, ge=2, le=40, description="edge of the block that is cut, in nm; the paper has 20")
    planes: Literal["high_symmetry", "random"] = Field(
        "high_symmetry", description="normals of the cuts: {100}, {110} and {111}, none twice; or random directions"
    )
    plane_count: tuple[int, int] = Field((4, 20), description="least and largest number of cuts")
    plane_distance: tuple[float, float] = Field(
        (0.3, 0.5), description="range of the cuts' distances from the block's centre, in block edges, uniform"
    )
    min_atoms: int = Field(300, ge=50, description="crystals with fewer atoms are drawn again, and counted")
    strain_max: float = Field(
        0.01, ge=0, le=0.05, description="three elongations and three shears are uniform in -strain_max to +strain_max"
    )
    first_etol: float = Field(
        1e-10,
        gt=0,
        le=1e-4,
        description="relative energy change that ends the first minimisation, and the second of clamp and spring; "
        "1e-8 is 1.5 times as fast and leaves up to 0.15 rad of surface relaxation in the phase, this one 0.01",
    )
    hold: Literal["iterations", "etol", "clamp", "spring"] = Field(
        "clamp",
        description="what keeps the strain in the second minimisation: few iterations, a loose energy tolerance, both "
        "ends along a random <111> clamped, or a spring on each atom",
    )
    hold_value: float | None = Field(
        None,
        ge=0,
        description="iterations: how many (8); etol: relative energy change (1e-5); clamp: share of the atoms at each "
        "end (0.1); spring: eV per square angstrom (0.1)",
    )
    loads: tuple[LoadKind, ...] = Field(
        (),
        description="what strains a crystal unevenly, beside the box, so that phases are left once the ramp is off; "
        "each crystal gets some of these: ends that are bent or twisted, three or four clamps that pull each its own "
        "way, a misfitting inclusion or core, a dislocation a/2<110>, a stacking fault; held by clamp",
    )
    loads_each: tuple[int, int] = Field((1, 2), description="least and largest number of loads of a crystal")
    load_strain: float = Field(
        0.03, gt=0, le=0.1, description="largest local strain of a load, about; drawn from half of it upwards"
    )
    reflections: tuple[Miller, ...] = Field(
        ((1, 1, 1),),
        min_length=1,
        max_length=24,
        description="hkl of the peaks; with several, so many samples in a row are peaks of one crystal, which is "
        "relaxed once",
    )
    twin: Literal["strained", "strain_free"] = Field(
        "strained", description="strain_free: the same density with phase 0"
    )
    ramp: Literal["keep", "remove"] = Field(
        "keep", description="remove: without the affine part of the displacement, which only moves the Bragg peak"
    )
    voxel_cells: int | None = Field(
        None,
        ge=1,
        description="unit cells (0.408 nm) per voxel edge; not given: the fewest at which the uncut block takes at "
        "most 80 % of the grid (1 for 8 nm, 2 for 20 nm, on 32 voxels)",
    )
    binning: Literal["cloud", "nearest"] = Field(
        "cloud", description="cloud in cell, or each atom in the one voxel that it is in"
    )
    check: bool = Field(
        False,
        description="let OVITO find fcc and hcp atoms, dislocations, elastic strain, surface and volume, and draw a "
        "cut through the crystal",
    )
    check_share: float = Field(1.0, gt=0, le=1, description="share of the crystals that check looks at")

    @model_validator(mode="after")
    def _possible(self):
        grid = self.grid_size
        if grid > self.size:
            raise ValueError(f"object_size {grid} is larger than the array (size {self.size})")
        low, high = self.plane_count
        if not 1 <= low <= high <= MOST_PLANES:
            raise ValueError(f"plane_count [{low}, {high}] is not a range within 1 to {MOST_PLANES}")
        near, far = self.plane_distance
        if not 0 <= near <= far <= 1:
            raise ValueError(f"plane_distance [{near}, {far}] is not a range within 0 to 1 block edges")
        needed = cells_per_edge(self.block_nm) * (1 + self.strain_max) ** 2 / self.cells_per_voxel + 3
        if needed > grid:
            raise ValueError(
                f"block_nm {self.block_nm:g} with voxels of {self.cells_per_voxel} cells needs {needed:.0f} voxels; "
                f"the grid (object_size) has {grid}"
            )
        if self.loads and self.hold != "clamp":
            raise ValueError(f"loads are held by clamps; hold is '{self.hold}'")
        if len(set(self.loads)) < len(self.loads):
            raise ValueError("loads: each once")
        fewest, most = self.loads_each
        if self.loads and not 1 <= fewest <= most <= len(self.loads):
            raise ValueError(f"loads_each [{fewest}, {most}] is not a range within 1 to {len(self.loads)}")
        for h, k, l in self.reflections:  # noqa: E741, their names
            if not (h % 2 == k % 2 == l % 2) or h == k == l == 0:
                raise ValueError(f"reflections: fcc has no {h} {k} {l}; take hkl all even or all odd")
        if self.hold == "clamp" and not 0 < self.held_by <= 0.4:
            raise ValueError(f"hold_value {self.held_by:g} is no share for hold 'clamp'; allowed: above 0 to 0.4")
        if self.hold == "iterations" and self.held_by != int(self.held_by):
            raise ValueError(f"hold_value {self.held_by:g} is no whole number of iterations")
        return self

    @property
    def dimensions(self) -> int:
        return 3

    @property
    def grid_size(self) -> int:
        return self.size if self.object_size is None else self.object_size

    @property
    def cells_per_voxel(self) -> int:
        if self.voxel_cells is not None:
            return self.voxel_cells
        return max(1, int(np.ceil(cells_per_edge(self.block_nm) / (FILLED_AT_MOST * self.grid_size))))

    @property
    def held_by(self) -> float:
        return HOLD_VALUES[self.hold] if self.hold_value is None else self.hold_value


@dataclass(frozen=True)
class Crystal:
    """A relaxed and strained crystal; positions in angstrom.

    Parameters
    ----------
    shape : as clipped, on the perfect lattice
    imposed : (6,) float64, elongations xx, yy, zz and shears xy, xz, yz given to the box
    relaxed, strained : (N, 3) float64, after the first and after the second minimisation
    displacement : (N, 3) float64, from relaxed to strained, mean zero
    iterations, energy_ev : of both minimisations
    loads : names of what strained it unevenly
    converged : both minimisations ended before the limit of 10,000 iterations
    lammps_version : as LAMMPS writes it, yyyymmdd
    """

    shape: Shape
    imposed: np.ndarray
    relaxed: np.ndarray
    strained: np.ndarray
    displacement: np.ndarray
    iterations: tuple[int, int]
    energy_ev: tuple[float, float]
    loads: tuple[str, ...]
    converged: bool
    lammps_version: int


def make_crystal(parameters: CrystalParameters, rng: np.random.Generator, process=None) -> Crystal:
    """Clip, relax, strain and relax again; the shape does not depend on how the strain is held.

    Parameters
    ----------
    process : ``relaxation.LammpsProcess``, default the one of this process, started at the first call and kept

    Raises
    ------
    InputError   nothing is left of a hundred shapes in a row; LAMMPS is missing or failed
    """
    from cdipipe.simulation.crystals.loads import draw_loads
    from cdipipe.simulation.crystals.relaxation import relax_crystal

    shape = draw_shape(parameters, rng)
    imposed = rng.uniform(-1, 1, 6) * parameters.strain_max
    along = shape.sites @ AXES_111[rng.integers(len(AXES_111))]
    ends = np.quantile(along, [parameters.held_by, 1 - parameters.held_by]) if parameters.hold == "clamp" else None
    held = None if ends is None else (along <= ends[0]) | (along >= ends[1])
    load, kinds = None, ()
    if parameters.loads:
        count = rng.integers(parameters.loads_each[0], parameters.loads_each[1] + 1)
        kinds = tuple(parameters.loads[i] for i in sorted(rng.permutation(len(parameters.loads))[:count]))
        load = draw_loads(shape, kinds, parameters.load_strain, rng)
        held = load.held
    moved = None if load is None else load.displacement
    how = {"etol": parameters.first_etol, "hold": parameters.hold, "hold_value": parameters.held_by}
    answer = relax_crystal(shape.sites, imposed, **how, held=held, displacement=moved, process=process)
    displacement = answer["strained"] - answer["relaxed"]
    drift = displacement.mean(axis=0)
    return Crystal(
        shape,
        imposed,
        answer["relaxed"],
        answer["strained"] - drift,
        displacement - drift,
        answer["iterations"],
        answer["energy_ev"],
        kinds,
        answer["converged"],
        answer["lammps_version"],
    )


def expose_crystal(
    crystal: Crystal, parameters: CrystalParameters, hkl: Miller, inspected: dict[str, Any] | None = None
) -> Sample:
    """Voxels of a crystal at one of its reflections, as a scene's sample with the record of the crystal.

    Parameters
    ----------
    inspected : what OVITO found, if it was asked
    """
    from cdipipe.optics.phase_content import phase_content
    from cdipipe.simulation.crystals.voxels import bragg_phase, fit_affine, voxelise

    fit = fit_affine(crystal.relaxed, crystal.displacement)
    displacement = fit.rest if parameters.ramp == "remove" else crystal.displacement
    phase_rad = bragg_phase(displacement, hkl=hkl)
    if parameters.twin == "strain_free":
        phase_rad = np.zeros_like(phase_rad)
    voxel_a = parameters.cells_per_voxel * LATTICE_CONSTANT_A
    density, phase = voxelise(crystal.strained, phase_rad, parameters.grid_size, voxel_a, parameters.binning)
    block = (density * np.exp(1j * phase)).astype(np.complex64)
    content = phase_content(block)
    record = describe_crystal(crystal, fit) | {
        "hkl": np.array(hkl),
        "voxel_m": voxel_a * 1e-10,
        "phase_range_rad": float(np.ptp(phase_rad)),
        "level_phase_range_rad": content.range_rad,
        "flat_correlation": content.flat_correlation,
    }
    exit_wave = _padded(block, parameters.size)
    return Sample(exit_wave, exit_wave != 0, "volume", extra=record | (inspected or {}))


def describe_crystal(crystal: Crystal, fit) -> dict[str, Any]:
    """The crystal's record, kept in the truth's file; lengths in nm, ``*_cells`` in lattice constants.

    ``planes`` has a row for each cut, outward normal and distance from the block's centre, then rows of NaN.
    ``level_phase_range_rad`` and ``flat_correlation``, which belong to a reflection, are those of
    :func:`cdipipe.optics.phase_content.phase_content`.
    """
    planes = np.full((MOST_PLANES, 4), np.nan)
    planes[: len(crystal.shape.planes)] = crystal.shape.planes * [1, 1, 1, 0.1]
    return {
        "atoms": len(crystal.relaxed),
        "size_nm": np.ptp(crystal.strained, axis=0) / 10,
        "plane_count": len(crystal.shape.planes),
        "planes": planes,
        "loads": list(crystal.loads),
        "clip_redraws": crystal.shape.redraws,
        "imposed_strain": crystal.imposed,
        "residual_strain": fit.strain,
        "residual_rotation_rad": fit.rotation_rad,
        "non_affine_std_cells": float(np.sqrt(np.mean(fit.rest**2)) / LATTICE_CONSTANT_A),
        "iterations": np.array(crystal.iterations),
        "converged": crystal.converged,
        "lammps_version": crystal.lammps_version,
        "energy_ev_per_atom": np.array(crystal.energy_ev) / len(crystal.relaxed),
    }


def _padded(block: np.ndarray, size: int) -> np.ndarray:
    """``block`` in the middle of zeros: centre on centre."""
    whole = np.zeros((size,) * 3, block.dtype)
    start = size // 2 - block.shape[0] // 2
    whole[(slice(start, start + block.shape[0]),) * 3] = block
    return whole


def build_several(parameters: CrystalParameters, rng: np.random.Generator, numbers: Sequence[int]) -> list[Sample]:
    """One crystal at some of its reflections.

    Parameters
    ----------
    numbers : of the reflections in ``parameters.reflections``
    """
    crystal = make_crystal(parameters, rng)
    inspected = None
    if parameters.check:
        inspected = _inspect(crystal, parameters, rng)
    return [expose_crystal(crystal, parameters, parameters.reflections[number], inspected) for number in numbers]


def _inspect(crystal: Crystal, parameters: CrystalParameters, rng: np.random.Generator) -> dict[str, Any]:
    """What OVITO finds; NaN in crystals that are not of the share it looks at."""
    from cdipipe.simulation.crystals.inspection import inspect_crystal, nothing_inspected
    from cdipipe.simulation.crystals.voxels import bragg_phase, fit_affine

    if rng.random() >= parameters.check_share:
        return nothing_inspected()
    rest = fit_affine(crystal.relaxed, crystal.displacement).rest
    return inspect_crystal(crystal.strained, bragg_phase(rest, hkl=parameters.reflections[0]))


def build(parameters: CrystalParameters, rng: np.random.Generator) -> Sample:
    """One crystal at its first reflection. The strain-free twin of a strained sample is the modulus of its object."""
    return build_several(parameters, rng, [0])[0]


SCENE = Scene(
    name="crystal",
    summary="strained gold nanocrystals relaxed by LAMMPS, and their 3D Bragg peaks",
    reference="Chan et al., Rapid 3D nanoscale coherent imaging via physics-aware deep learning, "
    "Appl. Phys. Rev. 8, 021407 (2021), doi:10.1063/5.0031486",
    parameters=CrystalParameters,
    build=build,
    views=lambda parameters: len(parameters.reflections),
    build_views=build_several,
    gives=lambda parameters: {"volume", "alone"},
)
