"""Crystals of known displacement, phased from skewed rocking curves and brought back to nanometres."""

import itertools

import pytest

import cdipipe as cdi
from cdipipe.bragg.judge import judge
from cdipipe.bragg.strain import analyse

SEQUENCE = "3*(20*ER+180*HIO)+60*ER"
BEAMLINES = ("aps_34idc", "esrf_id01", "petra_p10")
SMALL = {"size": 40, "positions": 40, "voxels": 18}


def phased(beamline, displacement, photons=1e8, **size):
    """Numbers and errors of a crystal that was simulated, phased from noise and analysed."""
    wanted = {"beamline": beamline, "displacement": displacement, "photons": photons}
    measurement, truth = cdi.simulate("bragg", seed=1, with_truth=True, **wanted, **size)
    result = analyse(cdi.reconstruct(measurement, {"sequence": SEQUENCE}, restarts=2))
    return result.numbers, judge(result.fields, truth)


@pytest.mark.parametrize(("beamline", "displacement"), [*zip(BEAMLINES, ("smooth", "edge", "screw"), strict=True)])
def test_a_small_crystal_comes_back(beamline, displacement):
    numbers, errors = phased(beamline, displacement, **SMALL)
    assert errors["shape_iou"] > 0.92  # of 18 voxels across a third lie at the surface
    assert errors["displacement_rmse_planes"] < 0.03 and errors["strain_rmse"] < 2e-4
    if displacement == "smooth":
        assert errors["strain_correlation"] > 0.8 and numbers["dislocations"] == 0
    else:
        assert numbers["dislocations"] == 1 and abs(numbers["burgers_planes"]) == 1
    if displacement == "screw":
        assert numbers["burgers_planes"] == (-1 if errors["is_twin"] else 1)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("beamline", "displacement"),
    [*itertools.product(BEAMLINES, ("smooth", "bend", "inclusion", "screw", "edge", "none"))],
)
def test_a_crystal_of_30_voxels_comes_back(beamline, displacement):
    numbers, errors = phased(beamline, displacement)
    assert errors["shape_iou"] >= 0.95 and errors["displacement_rmse_planes"] < 0.03
    if displacement in ("screw", "edge"):
        assert numbers["dislocations"] == 1 and abs(numbers["burgers_planes"]) == 1
