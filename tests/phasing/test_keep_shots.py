"""Shots that a recipe leaves out."""

import numpy as np
import pytest

from cdipipe.errors import InputError
from cdipipe.metrics.evaluate import evaluate
from cdipipe.metrics.hits import find_hits
from cdipipe.phasing.recipe import recipe_from_mapping
from cdipipe.phasing.reconstruct import reconstruct
from cdipipe.settings import validate
from cdipipe.simulation.exposure import simulate
from cdipipe.simulation.registry import get_scene


def stack(**settings):
    scene = get_scene("polygons")
    shots = {"blank": 0.2, "weak": 0.2}
    settings = {"size": 32, "object_size": 10, "photons": 3e4, "count": 30, "shots": shots, **settings}
    return simulate(scene, validate(scene.parameters, settings, "polygons"), 0)


def phased(measurement, **recipe):
    return reconstruct(measurement, recipe_from_mapping({"method": "er", "iterations": 4, **recipe}))


def test_shots_that_are_left_out_are_blank_and_the_others_as_without_the_rule():
    measurement, truth = stack()
    kept = find_hits(measurement).kind == "single"
    every, some = phased(measurement), phased(measurement, keep_shots="single")
    np.testing.assert_array_equal(some.object[kept], every.object[kept])
    assert not some.object[~kept].any() and np.isnan(some.run_scores["r_factor"][~kept]).all()
    assert some.recipe["keep_shots"] == "single" and some.recipe["kept_shots"] == kept.sum()
    # a rule that keeps fewer does not put zeros into the headline
    few = phased(measurement, keep_shots=f"single and photons > {measurement.intensity.sum((1, 2))[kept].mean()}")
    found = evaluate(few, measurement, truth).metrics
    assert found["complex_correlation"] > 0.2
    assert found["headline"].startswith(f"median over {few.recipe['kept_shots']} single shots")
    assert found["headline"].endswith(f"{few.recipe['kept_shots']} phased")


def test_rules_are_read_with_the_recipe_and_refused_where_there_are_no_shots():
    with pytest.raises(InputError, match="keep_shots: 'best' is no rule"):
        recipe_from_mapping({"method": "er", "keep_shots": "best"})
    with pytest.raises(InputError, match="keep_shots: shots are judged in a stack"):
        phased(stack(count=1, shots={})[0], keep_shots="single")
