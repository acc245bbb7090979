"""Measured patterns, from the files of the instruments to an object that can be recognised."""

import itertools

import numpy as np
import pytest

from cdipipe.io.cxi import read_reconstruction


def radial_profile(object_):
    """Mean modulus on circles around the centre of mass, highest value 1; and the modulus by angle outside 8 px."""
    modulus = np.abs(object_)
    weight = modulus**2 / np.sum(modulus**2)
    y, x = np.indices(modulus.shape)
    y, x = y - np.sum(weight * y), x - np.sum(weight * x)
    radius, angle = np.hypot(y, x), np.arctan2(y, x)
    rings = [modulus[(radius >= r) & (radius < r + 1)].mean() for r in range(20)]
    sectors = np.floor((angle + np.pi) / (2 * np.pi) * 24).astype(int) % 24
    outline = [modulus[(sectors == s) & (radius > 8)].max() / modulus.max() for s in range(24)]
    return np.array(rings) / max(rings), np.array(outline)


def test_the_optical_ring_with_its_saturated_centre_masked_is_a_ring(cli, data_dir, tmp_path):
    file = data_dir / "hawk_ring_optical" / "ring.h5"
    measurement, result = tmp_path / "M.cxi", tmp_path / "R.cxi"
    how = ("--dataset", "real", "--mask", f"{file}::mask", "--corner", "--amplitude")
    assert cli("import", file, *how, "-o", measurement).code == 0
    settings = ["iterations=600", "start_support.kind=full", "shrink_wrap.every=20", "shrink_wrap.area=[0.1, 0.035]"]
    options = [word for setting in [*settings, "average_best=4"] for word in ("--set", setting)]
    assert cli("reconstruct", measurement, "-m", "raar", *options, "--restarts", 24, "-o", result).code == 0
    rings, outline = radial_profile(read_reconstruction(result).object)
    assert rings[:2].max() < 0.6, "the hole is dark"
    assert 4 <= np.argmax(rings) <= 12 and rings[16:].max() < 0.2, "the light is in a ring"
    assert np.mean(outline > 0.25) > 0.9, "the ring is closed"


@pytest.mark.slow
def test_the_gold_crystal_is_compact_and_repeats(cli, data_dir, tmp_path):
    folder = data_dir / "aps34idc_bcdi_S54"
    measurement, result = tmp_path / "M.cxi", tmp_path / "R.cxi"
    how = ("--stack", "volume", "--whitefield", folder / "whitefield.tif", "--threshold", 2, "--crop", "96,128,128")
    assert cli("import", folder / "S54_counts_201x256x256_int32.npz", *how, "-o", measurement).code == 0
    options = ("-m", "raar", "--restarts", 6, "--keep-runs")
    assert cli("reconstruct", measurement, *options, "-o", result).code == 0
    found = read_reconstruction(result)
    assert found.run_scores["r_factor"][0] < 0.4
    assert 0.002 < found.support.mean() < 0.02
    best = found.runs[:3]
    pairs = [abs(np.vdot(a, b)) / np.linalg.norm(a) / np.linalg.norm(b) for a, b in itertools.pairwise(best)]
    assert min(pairs) > 0.85
