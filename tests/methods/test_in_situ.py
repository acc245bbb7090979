"""All frames of a movie with one static structure that they share."""

import numpy as np
import pytest

from cdipipe.errors import InputError
from cdipipe.io.cxi import read_measurement, read_truth
from cdipipe.metrics.evaluate import evaluate
from cdipipe.phasing.recipe import recipe_from_mapping
from cdipipe.phasing.reconstruct import reconstruct
from cdipipe.simulation.exposure import simulate
from cdipipe.simulation.registry import get_scene


def movie(name="static_region", **settings):
    found = get_scene(name)
    return simulate(found, found.parameters(**{"size": 64, "frames": 4, **settings}), seed=1)


def solve(measurement, **settings):
    recipe = recipe_from_mapping({"method": "in_situ", "constraint": "real_nonneg", **settings})
    return reconstruct(measurement, recipe, seed=1)


@pytest.mark.parametrize("known", [True, False])
def test_frames_are_found_with_the_static_region_known_or_not(known):
    measurement, truth = movie(static_known=known, sample_photons_per_pixel=1000.0)
    assert (measurement.static_region is None) == (not known)
    result = solve(measurement, static="known" if known else "estimate")
    statics = result.object[:, measurement.static_support]
    assert np.array_equal(statics[0], statics[-1]) and "static_region" not in result.forward
    law = 10 * np.log10(2 * truth.extra["incident_photons_per_sample_pixel"])
    assert evaluate(result, measurement, truth).metrics["psnr_db"] == pytest.approx(law, abs=1.2)


def test_the_frames_together_find_the_static_structure_of_a_small_cell():
    measurement, truth = movie("cell", frames=6, static_known=False)
    law = 10 * np.log10(2 * truth.extra["incident_photons_per_sample_pixel"])
    assert evaluate(solve(measurement), measurement, truth).metrics["psnr_db"] > law - 1.5


def test_from_the_command_line(tmp_path, cli):
    made = ("-o", tmp_path / "m.cxi", "--truth", tmp_path / "t.cxi", "--set", "size=64", "--set", "frames=3")
    assert cli("simulate", "cell", *made, "--set", "static_known=false").code == 0
    measurement, truth = read_measurement(tmp_path / "m.cxi"), read_truth(tmp_path / "t.cxi")
    assert measurement.stack == "movie" and measurement.static_region is None and measurement.static_support.any()
    assert truth.extra["static_region"].shape == (64, 64) and np.abs(truth.object[0] - truth.object[1]).max() > 0
    done = cli("reconstruct", tmp_path / "m.cxi", "-m", "in_situ", "-o", tmp_path / "r.cxi", "--set", "iterations=60")
    assert done.code == 0 and "static region estimated" in done.out
    found = cli("evaluate", tmp_path / "r.cxi", "--measurement", tmp_path / "m.cxi", "-o", tmp_path / "e.json")
    assert found.code == 0
    known = cli("reconstruct", tmp_path / "m.cxi", "-m", "in_situ", "-o", tmp_path / "x.cxi", "--set", "static=known")
    assert "does not tell the static region" in known.complaint


def test_it_is_for_movies_with_a_static_structure():
    with pytest.raises(InputError, match="frames of a movie"):
        solve(movie(frames=1)[0])
    particles, _ = simulate(get_scene("particles"), get_scene("particles").parameters(size=64, frames=2), 0)
    with pytest.raises(InputError, match="static support"):
        solve(particles)
    with pytest.raises(InputError, match="no pixel beside"):
        from cdipipe.phasing.reconstruct import Start

        measurement, _ = movie(static_known=False)
        start = Start(support=measurement.static_support)
        reconstruct(measurement, recipe_from_mapping({"method": "in_situ"}), start=start)


def test_a_movie_is_of_one_sample():
    with pytest.raises(ValueError, match="a movie is of one sample"):
        movie(count=2)
