"""What strains crystals unevenly: fields by themselves, held in LAMMPS, seen by OVITO and at several reflections."""

import numpy as np
import pytest

from cdipipe.optics.phase_content import phase_content
from cdipipe.settings import validate
from cdipipe.simulation.crystals import loads, relaxation
from cdipipe.simulation.crystals.inspection import inspect_crystal
from cdipipe.simulation.crystals.shapes import LATTICE_CONSTANT_A as A
from cdipipe.simulation.crystals.shapes import Shape, draw_shape
from cdipipe.simulation.exposure import draw_exposures
from cdipipe.simulation.scenes import crystal as scene

NEIGHBOURS = A / np.sqrt(2)
SMALL = {"block_nm": 4.0, "size": 16, "min_atoms": 400, "first_etol": 1e-6, "photons": 0}


def parameters(**changes):
    return validate(scene.CrystalParameters, {**SMALL, **changes}, "crystal")


@pytest.fixture(scope="module")
def shape() -> Shape:
    return draw_shape(parameters(plane_distance=[0.4, 0.5]), np.random.default_rng(5))


@pytest.mark.parametrize("kind", loads.KINDS)
def test_every_load_moves_and_holds_a_part_of_the_atoms(shape, kind):
    load = loads.draw_loads(shape, [kind], 0.03, np.random.default_rng(1))
    assert load.displacement.shape == shape.sites.shape and np.isfinite(load.displacement).all()
    assert 0.02 < load.held.mean() < 0.8 and 0.1 < np.ptp(load.displacement, axis=0).max() < 6
    again = loads.draw_loads(shape, [kind], 0.03, np.random.default_rng(1))
    assert np.array_equal(load.displacement, again.displacement)


@pytest.mark.parametrize("kind", ["bend", "twist"])
def test_rim_of_a_bent_or_twisted_crystal_has_the_strain_that_was_asked_for(kind):
    rng = np.random.default_rng(2)
    ball = rng.normal(size=(4000, 3))
    ball *= (20 * rng.uniform(size=4000) ** (1 / 3) / np.linalg.norm(ball, axis=1))[:, None]
    load = getattr(loads, kind)(Shape(ball, np.zeros((0, 4)), 0), 0.02, rng)
    # strain from the differences between atoms and those near to them
    largest = []
    for atom in np.argsort(-np.linalg.norm(ball, axis=1))[:300]:
        near = np.argsort(np.linalg.norm(ball - ball[atom], axis=1))[1:13]
        gradient = np.linalg.lstsq(ball[near] - ball[atom], load.displacement[near] - load.displacement[atom])[0]
        largest.append(np.abs(np.linalg.eigvalsh(gradient + gradient.T) / 2).max())
    assert max(largest) == pytest.approx(0.02, rel=0.15)


def test_stacking_fault_puts_layers_into_hollows(shape):
    for seed in range(8):
        load = loads.fault(shape, 0.0, np.random.default_rng(seed))
        moved = shape.sites + load.displacement
        shifted = np.linalg.norm(load.displacement, axis=1) > 0
        assert 0.1 < shifted.mean() < 0.9
        assert np.allclose(np.linalg.norm(load.displacement[shifted], axis=1), A / np.sqrt(6))
        far = np.linalg.norm(moved[shifted][:, None] - moved[~shifted][None], axis=2)
        assert far.min() == pytest.approx(NEIGHBOURS)  # on top of each other they would be at a / sqrt(3)


def test_dislocation_slips_by_its_burgers_vector_across_the_cut(shape):
    for seed in range(3):
        load = loads.dislocation(shape, 0.03, np.random.default_rng(seed))
        far = np.linalg.norm(shape.sites[:, None] - shape.sites[None], axis=2)
        first, second = np.nonzero(np.triu(far < NEIGHBOURS + 0.1, 1))
        relative = load.displacement[second] - load.displacement[first]
        jumps = np.linalg.norm(relative, axis=1)
        assert np.quantile(jumps, 0.8) < 0.35 * NEIGHBOURS and 0.6 * NEIGHBOURS < jumps.max() < 1.4 * NEIGHBOURS


def test_atoms_go_where_the_load_puts_them_and_the_held_stay_there(shape):
    load = loads.draw_loads(shape, ["bend", "clamps"], 0.03, np.random.default_rng(3))
    put = relaxation.relax_crystal(shape.sites, np.zeros(6), 1e-4, "iterations", 0, displacement=load.displacement)
    assert np.allclose(put["strained"] - put["relaxed"], load.displacement, atol=1e-9)
    held = relaxation.relax_crystal(
        shape.sites, np.zeros(6), 1e-4, "clamp", 0.1, held=load.held, displacement=load.displacement
    )
    moved = held["strained"] - held["relaxed"]
    assert np.allclose(moved[load.held], load.displacement[load.held], atol=1e-9)
    assert np.abs(moved - load.displacement)[~load.held].max() > 0.02


def test_ovito_finds_the_stacking_fault_and_the_phase_jumps_by_a_third_of_a_turn():
    wanted = parameters(loads=["fault"], loads_each=[1, 1], strain_max=0.0, reflections=[[2, 0, 0]])
    made = scene.make_crystal(wanted, np.random.default_rng(0))
    found = inspect_crystal(made.strained, np.zeros(len(made.strained)))
    assert made.loads == ("fault",) and found["hcp_share"] > 0.03
    phase = 2 * np.pi / A * made.displacement @ (2, 0, 0)
    low, high = np.quantile(phase, [0.05, 0.95])
    assert min(abs(high - low - turn) for turn in (2 * np.pi / 3, 4 * np.pi / 3)) < 0.4


def test_reflections_are_views_of_one_crystal_whatever_is_drawn_with_them():
    wanted = parameters(
        loads=["twist", "inclusion", "clamps"], loads_each=[2, 3], load_strain=0.05, reflections=[[1, 1, 1], [2, 2, 0]]
    )
    first, second, other = (e.sample for e in draw_exposures(scene.SCENE, wanted, 7, range(3)))
    assert np.allclose(np.abs(first.object), np.abs(second.object), atol=0.35)
    assert (first.extra["planes"][0] == second.extra["planes"][0]).all()
    assert (other.extra["planes"][0] != first.extra["planes"][0]).any()
    assert first.extra["loads"] == second.extra["loads"] and len(first.extra["loads"]) >= 2
    assert second.extra["hkl"].tolist() == [2, 2, 0] and first.extra["flat_correlation"] < 0.97
    (alone,) = draw_exposures(scene.SCENE, wanted, 7, [1])
    assert np.array_equal(alone.sample.object, second.object)


def test_phase_content_is_what_the_modulus_alone_does_not_tell():
    z, y, x = np.indices((16, 16, 16)) - 8
    ball = (x**2 + y**2 + z**2 < 25) * 1.0
    ramp = ball * np.exp(2j * np.pi * (0.7 * x - 0.3 * z) / 16 + 1j)
    level = phase_content(ramp)
    assert level.flat_correlation == pytest.approx(1, abs=1e-3) and level.range_rad < 0.1
    exact = phase_content(ball * np.exp(2j * np.pi * (x - 2 * z) / 9))
    assert exact.flat_correlation == pytest.approx(1) and exact.range_rad < 1e-6
    middle = x**2 + y**2 + z**2 < 12
    rings = phase_content(ball * np.exp(1j * np.where(middle, 0.0, 1.2)))
    inner = middle.sum() / ball.sum()
    assert rings.flat_correlation == pytest.approx(abs(inner + (1 - inner) * np.exp(1.2j)), abs=1e-6)
    assert rings.range_rad == pytest.approx(1.2, abs=1e-6)
    assert np.isnan(phase_content(np.zeros((4, 4, 4))).flat_correlation)
