"""Displacement and strain of crystals that are known by formula, on a skewed grid."""

import numpy as np
import pytest

from cdipipe.bragg import phase as phases
from cdipipe.bragg.fields import fields_of, isosurface_level, shape_of
from cdipipe.bragg.grid import frame_axes, to_orthogonal
from cdipipe.bragg.numbers import numbers_of, spread_of
from cdipipe.errors import InputError
from cdipipe.metrics.align import twin_of
from cdipipe.optics.bragg_frame import BraggFrame

SHAPE = (32, 40, 36)
VOXELS = np.array([[9.0, 1.0, -2.0], [2.0, 8.0, 1.5], [-1.0, 2.0, 7.0]])  # nm, columns; far from orthogonal
Q = 2 * np.pi / 0.2355 * np.array([0.48, 0.6, 0.64])


def frame():
    reciprocal = 2 * np.pi * np.linalg.inv(VOXELS).T / np.array(SHAPE)
    return BraggFrame(SHAPE, Q, reciprocal, VOXELS, np.eye(3), 0.1378)


def places():
    index = np.stack(np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij"), axis=-1)
    return frame().places_nm(index)


def crystal(displacement, radius_nm=60.0):
    """A sphere whose lattice is displaced by u(r) along Q; complex."""
    r = places()
    unit = Q / np.linalg.norm(Q)
    return (np.linalg.norm(r, axis=-1) < radius_nm) * np.exp(-1j * np.linalg.norm(Q) * displacement(r, r @ unit))


def test_a_uniform_strain_is_in_the_lattice_spacing_and_not_in_the_map():
    fields = fields_of(crystal(lambda r, along: 1e-3 * along), frame())
    assert np.nanmax(np.abs(fields.strain)) < 1e-6
    assert 2 * np.pi / np.linalg.norm(fields.mean_q_per_nm) == pytest.approx(0.2355 * 1.001, rel=2e-6)
    kept = fields_of(crystal(lambda r, along: 1e-3 * along), frame(), remove_ramp=False)
    assert np.nanmedian(kept.strain) == pytest.approx(1e-3, rel=1e-3)


def test_a_quadratic_displacement_has_a_linear_strain_along_q():
    k = 5e-6  # per nm
    fields = fields_of(crystal(lambda r, along: 0.5 * k * along**2), frame())
    along = places() @ (Q / np.linalg.norm(Q))
    bulk = fields.bulk
    expected = k * (along - along[fields.inside].mean())
    assert np.abs(fields.strain - expected)[bulk].max() < 2e-6  # of up to 3e-4
    u = 0.5 * k * along**2
    rest = (fields.displacement_nm - u)[bulk]
    design = np.column_stack([np.ones(bulk.sum()), places()[bulk]])  # up to offset and ramp
    assert np.std(rest - design @ np.linalg.lstsq(design, rest, rcond=None)[0]) < 1e-6


def test_strain_is_the_same_where_the_phase_wraps():
    k = 1.5e-4
    object_ = crystal(lambda r, along: 0.5 * k * along**2)
    fields = fields_of(object_, frame())
    assert fields.wraps
    along = places() @ (Q / np.linalg.norm(Q))
    expected = k * (along - along[fields.inside].mean())
    assert np.nanmedian(np.abs(fields.strain - expected)[fields.bulk]) < 1e-4  # of up to 9e-3
    assert not fields.vortex.any()


def test_the_twin_has_the_strain_at_the_opposite_place():
    object_ = crystal(lambda r, along: 4e-6 * along**2 + 2e-8 * along**3)
    fields, twin = fields_of(object_, frame()), fields_of(twin_of(object_), frame())
    mirrored = np.real(twin_of(np.where(fields.bulk, fields.strain, 0).astype(complex)))
    assert np.abs(np.where(twin.bulk, twin.strain, 0) - mirrored)[twin.bulk & (mirrored != 0)].max() < 1e-6
    assert np.array_equal(twin_of(twin_of(object_)), object_)


def screw(core=(0.0, 0.0)):
    """Phase that winds once around the array's first axis."""
    index = np.stack(np.meshgrid(*(np.arange(n) - n // 2 for n in SHAPE), indexing="ij"), axis=-1)
    winding = np.arctan2(index[..., 1] - core[0] - 0.5, index[..., 2] - core[1] - 0.5)
    return (np.linalg.norm(places(), axis=-1) < 60) * np.exp(1j * winding)


def test_a_dislocation_stays_one_and_its_core_has_no_strain():
    fields = fields_of(screw(), frame())
    core = np.argwhere(fields.vortex) - np.array([n // 2 for n in SHAPE])
    assert len(core) and (core[:, 1:] >= 0).all() and (core[:, 1:] <= 1).all()
    assert len(np.unique(core[:, 0])) == np.ptp(core[:, 0]) + 1  # one line through the crystal
    assert np.isnan(fields.strain[fields.vortex]).all()
    assert np.nanmax(np.abs(fields.strain)) < 0.4 * 2 * np.pi / (np.linalg.norm(Q) * 7)


def test_no_vortex_without_a_dislocation():
    generator = np.random.default_rng(0)
    noisy = crystal(lambda r, along: 1e-6 * along**2) * np.exp(0.3j * generator.standard_normal(SHAPE))
    assert not fields_of(noisy, frame()).vortex.any()


def test_the_surface_is_at_half_of_the_amplitude_inside():
    from scipy import ndimage

    solid = (np.linalg.norm(places(), axis=-1) < 60).astype(float)
    blurred = ndimage.gaussian_filter(solid, 1.0)
    blurred[16, 20, 18] = 20  # a hot voxel does not move it
    assert isosurface_level(blurred) == pytest.approx(0.5, abs=0.05)
    inside = shape_of(blurred.astype(complex))
    both, either = (inside & (solid > 0)).sum(), (inside | (solid > 0)).sum()
    assert both / either > 0.93


def test_numbers_of_a_sphere():
    fields = fields_of(crystal(lambda r, along: 5e-6 * along**2), frame(), surface=0.5)
    found = numbers_of(fields, reference_d_nm=0.2355)
    assert found["diameter_nm"] == pytest.approx(120, rel=0.03)
    assert found["volume_nm3"] == pytest.approx(4 / 3 * np.pi * 60**3, rel=0.05)
    radius = (3 / (4 * np.pi) * fields.bulk.sum() * fields.frame.voxel_volume_nm3) ** (1 / 3)
    assert found["rms_strain_bulk"] == pytest.approx(1e-5 * radius / np.sqrt(5), rel=0.03)  # rms of z in a sphere
    assert abs(found["mean_strain_bulk"]) < 1e-6 and abs(found["mean_strain_reference"]) < 1e-5
    spread = spread_of([fields, fields])
    assert spread["volume_nm3_std"] == 0 and spread["strain_std"] == 0


@pytest.mark.parametrize("name", ["lab", "sample", "crystal"])
def test_the_orthogonal_grid_keeps_shape_and_strain(name):
    k = 5e-6
    fields = fields_of(crystal(lambda r, along: 0.5 * k * along**2), frame())
    grid = to_orthogonal(fields, name, voxel_nm=5.0)
    np.testing.assert_allclose(grid.axes @ grid.axes.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(grid.axes) == pytest.approx(1)
    assert grid.inside.sum() * 125 == pytest.approx(fields.inside.sum() * fields.frame.voxel_volume_nm3, rel=0.02)
    spot = np.stack(np.meshgrid(*(np.arange(n) for n in grid.inside.shape), indexing="ij"), axis=-1)
    lab = (grid.origin_nm + 5.0 * spot) @ grid.axes
    along = lab @ (Q / np.linalg.norm(Q))
    bulk = grid.bulk & (np.linalg.norm(lab, axis=-1) < 45)
    assert np.abs(grid.strain - k * along)[bulk].max() < 1e-5


def test_the_crystal_frame_has_z_along_q():
    fields = fields_of(crystal(lambda r, along: 0 * along), frame())
    axes = frame_axes(fields, "crystal", toward=[1.0, 0, 0])
    np.testing.assert_allclose(axes @ (Q / np.linalg.norm(Q)), [0, 0, 1], atol=1e-6)
    assert axes[0] @ [1, 0, 0] > 0 and axes[1] @ [1, 0, 0] == pytest.approx(0, abs=1e-6)
    with pytest.raises(InputError, match="along Q"):
        frame_axes(fields, "crystal", toward=Q)


@pytest.mark.parametrize(
    ("object_", "words"),
    [(np.zeros(SHAPE), "zero everywhere"), (np.ones(SHAPE), "edge of the array")],
)
def test_what_is_no_crystal_is_refused(object_, words):
    with pytest.raises(InputError, match=words):
        fields_of(object_.astype(complex), frame())
    speck = np.zeros(SHAPE, complex)
    speck[16, 20, 18] = 1
    with pytest.raises(InputError, match="only 1 voxels"):
        fields_of(speck, frame())


def test_differences_are_right_across_a_wrap():
    object_ = np.exp(1j * np.array([3.0, -3.0, 3.0]))[:, None, None] * np.ones((1, 2, 2))
    steps, _ = phases.differences(object_, np.ones((3, 2, 2), bool))
    np.testing.assert_allclose(steps[0, :2, 0, 0], [2 * np.pi - 6, 6 - 2 * np.pi])
