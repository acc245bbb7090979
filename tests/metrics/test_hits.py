"""Kinds of shots, judged by their patterns."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from cdipipe.errors import InputError
from cdipipe.measurement import Measurement, Reconstruction
from cdipipe.metrics.evaluate import evaluate
from cdipipe.metrics.hits import find_hits
from cdipipe.metrics.keep_shots import choose
from cdipipe.settings import validate
from cdipipe.shot_rules import read_rule
from cdipipe.simulation.exposure import simulate
from cdipipe.simulation.registry import get_scene

SHOTS = {"blank": 0.1, "weak": 0.15, "double": 0.05, "brightness_spread": 0.5}


def stack(seed=1, **settings):
    scene = get_scene("polygons")
    settings = {"size": 48, "photons": 5e4, "count": 200, "detector": {"background_photons": 0.05}, **settings}
    measurement, truth = simulate(scene, validate(scene.parameters, settings, "polygons"), seed)
    return measurement, truth, np.array(truth.extra.get("shot", []))


@pytest.mark.parametrize("mask", [{}, {"beamstop_px": 2, "dead_share": 0.01, "module_px": [20, 20], "gap_px": [2, 2]}])
def test_kinds_are_found_without_truth(mask):
    measurement, _, kinds = stack(shots=SHOTS, detector={"background_photons": 0.05, "mask": mask})
    hits = find_hits(measurement)
    good = kinds == "single"
    area = mannwhitneyu(hits.score[good], hits.score[~good]).statistic / (good.sum() * (~good).sum())
    assert area > 0.97
    assert (hits.kind[good] == "single").mean() > 0.97
    assert (hits.kind[kinds == "blank"] == "blank").all()
    assert np.isin(hits.kind[kinds == "weak"], ["weak", "blank"]).all()
    assert (hits.kind[kinds == "double"] == "multiple").mean() > (0.3 if mask else 0.6)
    np.testing.assert_array_equal(hits.score > 0, hits.kind == "single")


def test_a_stack_of_good_hits_is_one():
    for settings in ({}, {"photons": 1e3}, {"count": 5}, {"size": 32}, {"padded": True, "object_size": 24}):
        measurement, _, _ = stack(**settings)
        assert find_hits(measurement).count["single"] >= 0.98 * measurement.pattern_count, settings


def test_a_stack_of_nothing_is_blank_whatever_its_background():
    rng = np.random.default_rng(0)
    axis = np.arange(48) - 24
    halo = 0.02 + 3 * np.exp(-(axis[:, None] ** 2 + axis**2) / 72)
    measured = np.ones((48, 48), bool)
    flat = rng.poisson(0.3, (30, 48, 48)).astype(np.float32)
    assert find_hits(Measurement(flat, measured, "shots")).count["blank"] == 30
    assert find_hits(Measurement(0 * flat, measured, "shots")).count["blank"] == 30
    # air scattering about the beam: told by the darkest shots being alike
    hits, _, _ = stack(count=60)
    dark = np.concatenate([np.zeros((40, 48, 48)), hits.intensity])
    found = find_hits(replace(hits, intensity=(dark + rng.poisson(halo, dark.shape)).astype(np.float32)))
    assert (found.kind[:40] == "blank").all() and (found.kind[40:] == "single").mean() > 0.97


def test_no_judgement_where_something_known_stands_in_the_beam():
    measurement, _, _ = stack(count=10)
    probe = np.ones((1, 48, 48), np.complex64)
    assert find_hits(replace(measurement, probe_modes=probe)) is None
    assert find_hits(measurement.pattern(0)) is None


def test_headlines_are_medians_over_the_hits_and_the_others_are_counted():
    measurement, truth, kinds = stack(count=100, shots=SHOTS)
    rng = np.random.default_rng(0)
    spoilt = truth.object + np.abs(truth.object).max((1, 2), keepdims=True) * 0.2 * rng.normal(size=truth.object.shape)
    result = Reconstruction(spoilt.astype(np.complex64), truth.support, "shots")
    found = evaluate(result, measurement, truth)
    hits = find_hits(measurement)
    of_hits = found.curves["pattern_complex_correlation"][hits.kind == "single"]
    assert found.metrics["complex_correlation"] == pytest.approx(np.median(of_hits), rel=1e-12)
    assert found.metrics["complex_correlation_std"] == pytest.approx(np.std(of_hits), rel=1e-12)
    blank = hits.kind == "blank"
    assert found.metrics["shots_blank"] == blank.sum() < 15 and blank[kinds == "blank"].all()
    assert found.metrics["headline"].startswith(f"median over {len(of_hits)} single shots of 100 (")
    assert f"{blank.sum()} blank" in found.metrics["headline"]
    assert sum(int(part.split()[0]) for part in found.metrics["verdict"].split(", ")) == len(of_hits)


def test_rules_keep_what_they_say():
    measurement, _, _ = stack(count=100, shots=SHOTS)
    hits = find_hits(measurement)
    np.testing.assert_array_equal(choose(measurement, "single"), hits.kind == "single")
    np.testing.assert_array_equal(choose(measurement, "hits"), hits.kind != "blank")
    brighter = (hits.kind == "single") & (hits.photons >= 4e4) & (hits.score > 0.2)
    np.testing.assert_array_equal(choose(measurement, "single and photons >= 4e4 and score > .2"), brighter)
    assert choose(measurement, "all").all()
    with pytest.raises(InputError, match="none of 100 shots fits"):
        choose(measurement, "score > 9")
    with pytest.raises(InputError, match="this measurement is a single"):
        choose(measurement.pattern(0), "single")


@pytest.mark.parametrize("text", ["", "good", "photon > 3", "score > 1; import os", "__import__('os')", "score >> 1"])
def test_a_rule_that_is_none_is_refused(text):
    with pytest.raises(ValueError, match="is no rule; expected all, single, hits"):
        read_rule(text)
