"""Multi-frame PIE on simulated movies with known probe modes."""

import numpy as np
import pytest

from cdipipe.errors import InputError
from cdipipe.measurement import Measurement
from cdipipe.metrics.evaluate import evaluate
from cdipipe.phasing.recipe import recipe_from_mapping
from cdipipe.phasing.reconstruct import reconstruct
from cdipipe.settings import validate
from cdipipe.simulation.exposure import simulate
from cdipipe.simulation.registry import get_scene


def movie_of(name, **settings):
    scene = get_scene(name)
    settings = {"size": 64, "frames": 4, "photons": 1e7, **settings}
    return simulate(scene, validate(scene.parameters, settings, name), 0)


CHART = {"spokes": 10, "start_offset": 0.1}  # at 64 pixels the default star has hardly a spoke in the field


@pytest.mark.parametrize(
    ("name", "more", "least"), [("test_chart", CHART, 0.75), ("particles", {"illumination": "probe"}, 0.9)]
)
def test_frames_resemble_the_truth_where_the_light_is(name, more, least):
    measurement, truth = movie_of(name, **more)
    result = reconstruct(measurement, recipe_from_mapping({"method": "mf_pie", "iterations": 60}))
    assert evaluate(result, measurement, truth).metrics["field_phase_correlation"] > least
    trace = result.error_trace.ravel()
    assert trace.min() < trace[0]
    power = (np.abs(measurement.probe_modes) ** 2).sum(0)
    assert np.all(result.object[:, power < 0.005 * power.max()] == 1)


def test_a_movie_without_probe_modes_is_refused():
    movie = Measurement(np.ones((2, 8, 8), np.float32), np.ones((8, 8), bool), "movie")
    with pytest.raises(InputError, match="mf_pie needs a measurement with probe modes"):
        reconstruct(movie, recipe_from_mapping({"method": "mf_pie"}))
