"""Lines around which the phase winds, and the Burgers vector along Q."""

import numpy as np
import pytest

import cdipipe as cdi
from cdipipe.bragg import phase as phases
from cdipipe.bragg.fields import fields_of
from cdipipe.bragg.numbers import numbers_of
from cdipipe.bragg.strain import analyse
from cdipipe.measurement import Reconstruction
from cdipipe.metrics.align import twin_of
from cdipipe.optics.bragg_frame import bragg_frame

SMALL = {"size": 40, "positions": 40, "voxels": 18, "photons": 0}


def made(displacement, beamline="aps_34idc", seed=1):
    measurement, truth = cdi.simulate(
        "bragg", seed=seed, with_truth=True, displacement=displacement, beamline=beamline, **SMALL
    )
    return truth, measurement.geometry, bragg_frame(measurement.geometry, truth.object.shape)


def test_turns_around_squares_are_right_handed():
    """phase = +angle about axis 0: one turn around the squares across axis 0 in the middle, none elsewhere."""
    rows, columns = np.mgrid[-3.5:4, -3.5:4]
    object_ = np.broadcast_to(np.exp(1j * np.arctan2(columns, rows)), (5, 8, 8))
    turns = phases.windings(object_, np.ones((5, 8, 8), bool))
    assert np.argwhere(turns[0]).tolist() == [[plane, 3, 3] for plane in range(5)]
    assert (turns[0][:, 3, 3] == 1).all() and not turns[1].any() and not turns[2].any()
    assert phases.vortices(object_, np.ones((5, 8, 8), bool)).sum() == 5 * 4
    assert (phases.windings(object_.conj(), np.ones((5, 8, 8), bool)) == -turns).all()


@pytest.mark.parametrize("beamline", ["aps_34idc", "esrf_id01", "petra_p10"])
def test_a_screw_along_q_has_the_burgers_vector_of_one_plane(beamline):
    truth, _, frame = made("screw", beamline)
    found = numbers_of(fields_of(truth.object, frame))
    assert found["dislocations"] == 1 and found["burgers_planes"] == 1  # u = d theta / 2 pi about +Q
    assert found["dislocation_nm"] == pytest.approx(found["diameter_nm"], rel=0.2)
    other = numbers_of(fields_of(twin_of(truth.object), frame))
    assert other["burgers_planes"] == -1 and other["dislocation_nm"] == pytest.approx(found["dislocation_nm"], rel=1e-6)


def test_an_edge_lies_across_q():
    from cdipipe.bragg.dislocations import lines_of
    from cdipipe.bragg.grid import frame_axes

    for seed in (1, 2, 3):
        truth, _, frame = made("edge", seed=seed)
        fields = fields_of(truth.object, frame)
        (line,) = lines_of(fields.object, fields.inside, frame, frame_axes(fields, "crystal"))
        assert abs(line.burgers_planes) == 1
        assert abs(line.direction @ fields.mean_q_per_nm) < 0.15 * np.linalg.norm(fields.mean_q_per_nm)


def test_what_does_not_wind_has_no_dislocation():
    truth, _, frame = made("smooth")
    found = numbers_of(fields_of(truth.object, frame))
    assert found["dislocations"] == 0 and found["vortex_voxels"] == 0 and "burgers_planes" not in found


def test_a_closed_ring_that_the_phase_winds_around_is_no_dislocation():
    truth, geometry, _ = made("none")
    z, y, x = np.mgrid[-20:20, -20:20, -20:20] + 0.5
    ring = np.exp(1j * np.arctan2(z, np.hypot(x, y) - 3))
    result = analyse(
        Reconstruction((truth.object * ring).astype(np.complex64), truth.support, "volume", geometry=geometry)
    )
    assert result.numbers["vortex_voxels"] > 10 and result.numbers["dislocations"] == 0
    assert any("more likely noise" in note for note in result.notes)


def test_a_dislocation_is_noted_as_one():
    truth, geometry, _ = made("screw")
    result = analyse(Reconstruction(truth.object, truth.support, "volume", geometry=geometry))
    assert any("a dislocation of" in note and "Q.b/2pi = +1" in note for note in result.notes)
