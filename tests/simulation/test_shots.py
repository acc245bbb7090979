"""Stacks with blanks, weak and double hits."""

from collections import Counter

import numpy as np
import pytest

from cdipipe.errors import InputError
from cdipipe.settings import validate
from cdipipe.simulation.exposure import simulate
from cdipipe.simulation.registry import get_scene
from cdipipe.simulation.shots import ShotParameters

SHARES = {"blank": 0.1, "weak": 0.15, "double": 0.05}


def stack(name="polygons", seed=0, **settings):
    scene = get_scene(name)
    return simulate(scene, validate(scene.parameters, {"size": 48, "photons": 1e4, **settings}, name), seed)


def test_shares_in_per_cent_are_met_in_every_hundred_shots():
    shots = ShotParameters(**SHARES)
    counts = Counter(shots.class_of(3, index) for index in range(2000))
    assert counts == {"blank": 200, "weak": 300, "double": 100, "single": 1400}
    first = [shots.class_of(3, index) for index in range(100)]
    assert Counter(first) == {"blank": 10, "weak": 15, "double": 5, "single": 70}
    assert first != [shots.class_of(4, index) for index in range(100)]


def test_each_kind_is_what_it_is_called():
    measurement, truth = stack(count=40, shots={"blank": 0.25, "weak": 0.25, "double": 0.25})
    kinds = np.array(truth.extra["shot"])
    energy = (np.abs(truth.object) ** 2).sum((1, 2))
    counts = measurement.intensity.sum((1, 2))
    pixels = truth.support.sum((1, 2))
    assert set(kinds) == {"single", "blank", "weak", "double"}
    assert not energy[kinds == "blank"].any() and not counts[kinds == "blank"].any()
    assert np.allclose(energy[kinds == "single"], 1e4) and np.allclose(energy[kinds == "double"], 2e4)
    assert (energy[kinds == "weak"] < 0.031e4).all() and (energy[kinds == "weak"] > 0.0029e4).all()
    assert pixels[kinds == "double"].min() > 1.2 * pixels[kinds == "single"].min()
    assert np.all(np.abs(counts - energy) < 6 * np.sqrt(energy) + 1)


def test_a_plain_stack_is_that_of_before_and_its_singles_stay_when_others_are_spoilt():
    plain = stack(count=20)[1]
    varied = stack(count=20, shots=SHARES)[1]
    kinds = np.array(varied.extra["shot"])
    assert "shot" not in plain.extra
    np.testing.assert_array_equal(plain.object[kinds == "single"], varied.object[kinds == "single"])


def test_the_brightness_spreads_about_the_mean():
    truth = stack(count=400, size=32, object_size=10, shots={"brightness_spread": 0.5})[1]
    energy = (np.abs(truth.object) ** 2).sum((1, 2))
    assert np.log(energy).std() == pytest.approx(0.5, rel=0.1) and energy.mean() == pytest.approx(1e4, rel=0.1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"shots": {"blank": 0.7, "weak": 0.4}}, "sum to more than 1"),
        ({"shots": {"weak_photons": (0.1, 0.01)}}, "range low, high"),
        ({"shots": {"double": 1.0}, "object_size": 40, "count": 2}, "two objects do not fit"),
        ({"shots": {"blank": 0.5}, "dimensions": 3, "size": 16}, "in two dimensions"),
    ],
)
def test_what_cannot_be_is_refused(settings, message):
    with pytest.raises(InputError, match=message):
        stack(**settings)
