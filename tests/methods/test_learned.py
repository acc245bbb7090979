"""Methods that are trained networks: grids, photons, batches, chains and messages, with small untrained weights."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from cdipipe.errors import InputError
from cdipipe.io.cxi import read_reconstruction, write_measurement
from cdipipe.measurement import Measurement
from cdipipe.networks.checkpoint import Checkpoint, write_checkpoint
from cdipipe.networks.predictor import fill_gaps
from cdipipe.networks.registry import get_network
from cdipipe.phasing.recipe import recipe_from_mapping
from cdipipe.phasing.reconstruct import reconstruct
from cdipipe.settings import validate
from cdipipe.simulation.exposure import simulate
from cdipipe.simulation.registry import get_scene


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """Small networks that have learned nothing."""
    folder = tmp_path_factory.mktemp("checkpoints")
    for name, settings in (
        ("cdi_nn", {"widths": [4, 8], "batch_norm": True}),
        ("cdi_nn_3d", {"widths": [4], "size": 16}),
    ):
        network = get_network(name)
        chosen = validate(network.settings, {"network": settings}, "test")
        with torch.random.fork_rng():
            torch.manual_seed(1)
            weights = network.build(chosen.network).state_dict()
        scores = {"peak_over_mean": [17.0, 130.0]}
        write_checkpoint(folder / f"{name}.pt", Checkpoint(network, chosen, weights, scores=scores))
    return folder


@pytest.fixture
def phase(checkpoints):
    def run(measurement, name="cdi_nn", **settings):
        recipe = recipe_from_mapping({"method": name, "checkpoint": str(checkpoints / f"{name}.pt"), **settings})
        return reconstruct(measurement, recipe)

    return run


def shots(count=5, size=32, **settings):
    scene = get_scene("polygons")
    more = {"count": count, "photons": 1e5, "phase_range_rad": 1.0} | settings
    return simulate(scene, scene.parameters(size=size, **more))[0]


def test_objects_have_the_photons_of_their_patterns(phase):
    measurement = shots()
    result = phase(measurement)
    assert result.object.shape == (5, 32, 32) and result.object.dtype == np.complex64
    light = (np.abs(result.object) ** 2).sum((1, 2))
    np.testing.assert_allclose(light, measurement.intensity.sum((1, 2)), rtol=1e-4)
    assert result.support.any((1, 2)).all() and result.run_scores["r_factor"].shape == (5,)
    assert result.error_trace.shape == (5, 1) and result.method == "cdi_nn"


def test_batches_do_not_matter(phase):
    measurement = shots(7)
    together, apart = phase(measurement), phase(measurement, batch=3)
    single = phase(measurement.pattern(6))
    scale = np.abs(together.object).max()
    np.testing.assert_allclose(together.object, apart.object, atol=1e-4 * scale)
    np.testing.assert_allclose(together.object[6], single.object, atol=1e-4 * scale)


def test_photons_do_not_matter_but_for_the_scale(phase):
    measurement = shots(1, photons=0)
    bright = replace(measurement, intensity=measurement.intensity * 1e4)
    first, second = phase(measurement).object, phase(bright).object
    np.testing.assert_allclose(100 * first, second, atol=1e-3 * np.abs(second).max())


def test_masked_and_withheld_pixels_are_not_seen(phase, checkpoints):
    measurement = shots(1)
    measured = np.ones((32, 32), bool)
    measured[5:9, 7:20] = False
    wild = np.where(measured, measurement.intensity, 1e9).astype(np.float32)
    clean = phase(replace(measurement, measured=measured))
    poisoned = phase(replace(measurement, measured=measured, intensity=wild))
    assert np.array_equal(clean.object, poisoned.object)
    recipe = recipe_from_mapping({"method": "cdi_nn", "checkpoint": str(checkpoints / "cdi_nn.pt")})
    result = reconstruct(measurement, recipe, seed=1, free_fraction=0.1)
    changed = np.where(result.free_pixels, 1e6, measurement.intensity).astype(np.float32)
    again = reconstruct(replace(measurement, intensity=changed), recipe, seed=1, free_fraction=0.1)
    assert np.array_equal(result.object, again.object) and "r_factor_free" in result.run_scores


def test_lone_gaps_are_filled_from_their_neighbours_and_large_ones_are_noted(phase, caplog):
    counts = torch.rand(2, 8, 8) + 1
    measured = torch.ones(2, 8, 8, dtype=torch.bool)
    measured[0, 3, 4] = False
    filled = fill_gaps(torch.where(measured, counts, 1e9), measured)
    around = [counts[0, i, j] for i in (2, 3, 4) for j in (3, 4, 5) if (i, j) != (3, 4)]
    assert float(filled[0, 3, 4]) == pytest.approx(float(sum(around)) / 8, rel=1e-5)
    assert torch.equal(filled[measured], counts[measured])
    measured[0] = False
    assert not fill_gaps(counts, measured)[0].any()
    whole = shots(4)
    seen = np.ones((32, 32), bool)
    phase(replace(whole, measured=seen))
    seen[14:22, 14:25] = False
    phase(replace(whole, measured=seen))
    assert [r.message for r in caplog.records if "trained on whole patterns" in r.message] != []


def test_larger_patterns_come_back_on_their_own_grid(phase):
    result = phase(shots(2, size=64, object_size=26))
    assert result.object.shape == (2, 64, 64) and np.isfinite(result.object).all()


def test_a_shot_without_photons_is_left_blank(phase):
    measurement = shots(3)
    measurement.intensity[1] = 0
    result = phase(measurement)
    assert not result.object[1].any() and np.isnan(result.run_scores["r_factor"][1])
    assert result.object[0].any() and np.isfinite(result.run_scores["r_factor"][[0, 2]]).all()


def test_a_network_begins_and_iterations_go_on(checkpoints):
    measurement = shots(2, size=64, object_size=26, photons=1e6)
    steps = [{"cdi_nn": {"checkpoint": str(checkpoints / "cdi_nn.pt")}}, {"hio": {"iterations": 30}}, "er"]
    recipe = recipe_from_mapping({"steps": steps, "restarts": 2})
    chained = reconstruct(measurement, recipe, seed=1)
    alone = reconstruct(measurement, recipe_from_mapping({"steps": steps[:1]}), seed=1)
    assert chained.method == "cdi_nn+hio+er" and chained.object.shape == (2, 64, 64)
    assert (chained.run_scores["r_factor"] < 0.7 * alone.run_scores["r_factor"]).all()


def test_volumes(phase):
    scene = get_scene("polygons")
    measurement, _ = simulate(scene, scene.parameters(size=24, dimensions=3, object_size=10, photons=1e5))
    result = phase(measurement, "cdi_nn_3d")
    assert result.object.shape == (24, 24, 24) and result.object.any()
    light = (np.abs(result.object) ** 2).sum()
    np.testing.assert_allclose(light, measurement.intensity.sum(), rtol=1e-3)


def test_moduli_given_as_photons_are_noticed(phase, caplog):
    measurement = shots(4)
    phase(measurement)
    assert not caplog.records
    phase(replace(measurement, intensity=measurement.intensity**0.25))
    assert len(caplog.records) == 1 and "are these moduli, given as photons?" in caplog.records[0].message


def test_what_does_not_fit_is_said_in_one_line(phase):
    scene = get_scene("polygons")
    volume, _ = simulate(scene, scene.parameters(size=16, dimensions=3, object_size=8))
    with pytest.raises(InputError, match="cdi_nn needs a measurement with patterns of two dimensions"):
        phase(volume)
    with pytest.raises(InputError, match="cdi_nn_3d needs a measurement with"):
        phase(shots(1), "cdi_nn_3d")
    with pytest.raises(InputError, match="smaller than the network's 32"):
        phase(shots(1, size=24))
    with pytest.raises(InputError, match="no such checkpoint"):
        phase(shots(1), checkpoint="nowhere.pt")
    probes = np.ones((1, 32, 32), np.complex64)
    with pytest.raises(InputError, match="cdi_nn needs a measurement with"):
        phase(replace(shots(1), probe_modes=probes))
    nothing = Measurement(np.zeros((32, 32), np.float32), np.zeros((32, 32), bool))
    with pytest.raises(InputError, match="every pixel of the measurement is masked"):
        phase(nothing)


def test_the_option_checkpoint(cli, checkpoints, tmp_path):
    write_measurement(tmp_path / "M.cxi", shots(2))
    base = ("reconstruct", tmp_path / "M.cxi", "-o", tmp_path / "R.cxi")
    assert cli(*base, "-m", "cdi_nn", "--checkpoint", checkpoints / "cdi_nn.pt").code == 0
    found = read_reconstruction(tmp_path / "R.cxi")
    assert set(found.provenance["inputs"]) == {"M.cxi", "cdi_nn.pt"}
    assert "hio has no weights" in cli(*base, "-m", "hio", "--checkpoint", checkpoints / "cdi_nn.pt").complaint
    wrong = cli(*base, "-m", "cdi_nn", "--checkpoint", checkpoints / "cdi_nn_3d.pt")
    assert "a checkpoint of 'cdi_nn_3d'; expected one of 'cdi_nn'" in wrong.complaint
