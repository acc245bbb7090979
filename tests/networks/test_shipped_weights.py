"""The weights that come with the package: small, described, and as good as their card says."""

import numpy as np
import pytest

from cdipipe.errors import InputError
from cdipipe.metrics.align import align_to
from cdipipe.networks.checkpoint import read_checkpoint
from cdipipe.networks.registry import all_networks
from cdipipe.phasing.recipe import recipe_from_mapping
from cdipipe.phasing.reconstruct import reconstruct
from cdipipe.simulation.exposure import simulate
from cdipipe.simulation.registry import get_scene

TRAINED = [network for network in all_networks().values() if network.weights is not None]

FILES = [(network.name, file) for network in TRAINED for file in (network.weights, *network.other_weights)]


def test_there_are_some():
    assert {"cdi_nn", "cdi_nn_3d"} <= {network.name for network in TRAINED}


def test_together_they_stay_small():
    assert sum(file.stat().st_size for _, file in FILES) <= 20 * 2**20


@pytest.mark.parametrize("network, file", FILES, ids=lambda value: getattr(value, "stem", value))
def test_they_are_small_plain_and_have_a_card(network, file):
    assert file.stat().st_size <= 6 * 2**20
    found = read_checkpoint(file, network)
    found.build()
    assert found.training == {} and (found.corpus.get("digest") or found.corpus["sources"])
    card = file.with_suffix(".md").read_text()
    for part in ("Corpus", "Seed", "Samples seen", "Machine", "Scores", "Not for"):
        assert part in card, part


@pytest.mark.parametrize("span, photons, least", [(0.8 * np.pi, 0, 0.93), (2 * np.pi, 0, 0.85), (2 * np.pi, 1e4, 0.84)])
def test_cdi_nn_finds_unseen_polygons_out_of_the_box(span, photons, least):
    scene = get_scene("polygons")
    parameters = scene.parameters(size=32, photons=photons, phase_range_rad=span, count=60)
    measurement, truth = simulate(scene, parameters, seed=77)
    result = reconstruct(measurement, recipe_from_mapping({"method": "cdi_nn"}))
    found = [align_to(t, o).correlation for t, o in zip(truth.object, result.object, strict=True)]
    assert np.mean(found) > least


def test_unrolled_finds_unseen_masked_objects_out_of_the_box():
    scene = get_scene("pseudo_objects")
    parameters = scene.parameters(
        size=128, photons=6.25e4, photons_max=6.25e5, count=8, split="test", detector={"mask": {"central_square_px": 4}}
    )
    measurement, truth = simulate(scene, parameters, seed=78)
    result = reconstruct(measurement, recipe_from_mapping({"method": "unrolled"}))
    found = [align_to(t, o).correlation for t, o in zip(truth.object, result.object, strict=True)]
    assert np.median(found) > 0.99


@pytest.mark.parametrize("photons, stop, least", [(1e4, 0, 0.9), (1e5, 4.0, 0.9)])
def test_unrolled_finds_unseen_complex_objects_out_of_the_box(photons, stop, least):
    scene = get_scene("polygons")
    parameters = scene.parameters(size=128, photons=photons, phase_range_rad=5.5, count=3, beamstop_px=stop)
    measurement, truth = simulate(scene, parameters, seed=81)
    result = reconstruct(measurement, recipe_from_mapping({"method": "unrolled", "objects": "complex"}))
    found = [align_to(t, o).correlation for t, o in zip(truth.object, result.object, strict=True)]
    assert np.median(found) > least


def test_unrolled_finds_unseen_volumes_out_of_the_box():
    scene = get_scene("polygons")
    found = []
    for seed in (79, 80):
        parameters = scene.parameters(size=48, dimensions=3, object_size=12, phase_range_rad=3, photons=1e7)
        measurement, truth = simulate(scene, parameters, seed=seed)
        result = reconstruct(measurement, recipe_from_mapping({"method": "unrolled"}))
        found.append(align_to(truth.object, result.object).correlation)
    assert min(found) > 0.9


BRIEFLY = {"method": "unrolled", "starts": 1, "screen_steps": 1, "step_count": 1, "second_starts": 0}


def test_unrolled_says_when_the_middle_of_a_volume_is_missing(caplog):
    scene = get_scene("polygons")
    for radius in (2, 4):
        assert not caplog.text
        settings = {"size": 32, "dimensions": 3, "object_size": 12, "photons": 1e7, "beamstop_px": radius}
        reconstruct(simulate(scene, scene.parameters(**settings), seed=14)[0], recipe_from_mapping(BRIEFLY))
    assert "the middle of a volume is not measured" in caplog.text


def test_unrolled_refuses_an_object_that_fills_the_array():
    scene = get_scene("polygons")  # whose points are scattered over the whole grid at this size
    measurement, _ = simulate(scene, scene.parameters(size=32, dimensions=3, photons=1e7), seed=14)
    with pytest.raises(InputError, match=r"more than half the array along axis 0, 1, 2.*-m auto"):
        reconstruct(measurement, recipe_from_mapping(BRIEFLY))
