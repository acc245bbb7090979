"""Surfaces and facets of crystals whose facets are known."""

import numpy as np
import pytest

import cdipipe as cdi
from cdipipe.bragg.facets import facets_of, low_index_planes
from cdipipe.bragg.strain import Choices, analyse
from cdipipe.bragg.surface import surface_of
from cdipipe.measurement import Reconstruction
from cdipipe.simulation.scenes.bragg import facet_normals


@pytest.fixture(scope="module")
def result():
    measurement, truth = cdi.simulate("bragg", seed=2, with_truth=True, photons=0, roughness=0.05)
    return analyse(
        Reconstruction(truth.object, truth.support, "volume", geometry=measurement.geometry), Choices(voxel_nm=8.0)
    )


def test_volume_and_normals_of_the_surface(result):
    surface = surface_of(result.orthogonal)
    # divergence theorem: the volume inside is the mean of r.n over the area, by a third
    volume = (np.sum(surface.centres_nm * surface.normals, axis=1) @ surface.areas_nm2) / 3
    assert volume == pytest.approx(result.numbers["volume_nm3"], rel=0.05)
    np.testing.assert_allclose(np.linalg.norm(surface.normals, axis=1), 1, atol=1e-6)
    assert np.isfinite(surface.strain).mean() > 0.95
    assert np.nanmedian(np.abs(surface.strain)) < 10 * result.numbers["rms_strain_bulk"]


def test_facets_are_found_and_named(result):
    surface = surface_of(result.orthogonal)
    facets = facets_of(surface, np.array([0, 0, 1.0]), (1, 1, 1))
    assert 8 <= len(facets) <= 16
    named = [facet for facet in facets if facet.hkl is not None]
    assert sum(f.area_nm2 for f in named) > 0.9 * sum(f.area_nm2 for f in facets)
    families = [tuple(sorted(np.abs(f.hkl), reverse=True)) for f in named]
    assert families.count((1, 1, 1)) >= 7 and set(families) <= {(1, 1, 1), (1, 0, 0), (1, 1, 0), (3, 1, 1)}
    assert np.median([f.off_deg for f in named if max(np.abs(f.hkl)) == 1]) < 4
    top = max(facets, key=lambda f: f.normal[2])
    assert top.hkl == (1, 1, 1) and top.normal[2] > 0.99
    bottom = min(facets, key=lambda f: f.normal[2])
    assert bottom.hkl == (-1, -1, -1)
    assert len({f.hkl for f in named}) == len(named)
    true_normals = facet_normals((1, 1, 1))  # up to a rotation about Q: compare the angles to it
    for facet in named[:8]:
        assert np.abs(true_normals[:, 2] - facet.normal[2]).min() < 0.06
    assert all(np.isfinite([f.mean_strain, f.std_strain, f.mean_displacement_nm]).all() for f in facets)


def test_without_a_reflection_there_are_no_indices(result):
    assert all(facet.hkl is None for facet in facets_of(surface_of(result.orthogonal), np.array([0, 0, 1.0])))


def test_there_are_8_6_12_and_24_planes():
    planes = [tuple(sorted(np.abs(plane))) for plane in low_index_planes()]
    assert [planes.count(k) for k in ((1, 1, 1), (0, 0, 1), (0, 1, 1), (1, 1, 3))] == [8, 6, 12, 24]
