"""Patterns that share a batch: each comes out as it does alone, to the bit."""

import numpy as np
import pytest
import small_runs
import torch

from cdipipe.measurement import Measurement
from cdipipe.phasing import restarts
from cdipipe.phasing.recipe import recipe_from_mapping
from cdipipe.phasing.reconstruct import reconstruct
from cdipipe.phasing.registry import all_methods, get_method
from cdipipe.phasing.task import Task
from cdipipe.phasing.together import may_go_together
from cdipipe.simulation.exposure import simulate
from cdipipe.simulation.registry import get_scene

MIXED = [name for name in all_methods() if get_method(name).mixes_patterns]


@pytest.fixture
def shots():
    """Five shots of 24 x 24, the third of them dark."""
    scene = get_scene("polygons")
    made, _ = simulate(scene, scene.parameters(size=24, photons=1e5, count=5), seed=3)
    intensity = made.intensity.copy()
    intensity[2] = 0
    return Measurement(intensity, made.measured, "shots")


@pytest.fixture
def alone(monkeypatch):
    """Calls a function while every pattern has batches of its own."""

    def call(function):
        with monkeypatch.context() as patched:
            patched.setattr(restarts, "patterns_at_once", lambda *_: 1)
            return function()

    return call


def same(one, other):
    for name in ("object", "support", "error_trace", "runs"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert one.run_scores.keys() == other.run_scores.keys()
    for name, values in one.run_scores.items():
        np.testing.assert_array_equal(values, other.run_scores[name])


def test_the_methods_that_mix_patterns():
    assert {"hio", "raar", "er", "dm", "gps", "oss"} <= set(MIXED)


@pytest.mark.parametrize("name", MIXED)
def test_same_bits_as_alone(name, shots, alone):
    recipe = recipe_from_mapping({"method": name, "iterations": 45, "restarts": 2, "stop_below": 0.2})

    def run():
        return reconstruct(shots, recipe, seed=4, free_fraction=0.05, keep_runs=True)

    together = run()
    same(together, alone(run))
    assert np.isfinite(together.run_scores["r_factor_free"][[0, 1, 3, 4]]).all()
    assert not together.object[2].any()


def test_in_a_beam_and_beside_a_region_that_all_share(alone, tmp_path):
    for kind in ("probe movie", "static movie"):

        def run(kind=kind):
            return small_runs.run("hio", tmp_path, kind, restarts=2)

        same(run(), alone(run))


def test_a_batch_has_as_many_patterns_as_fit(shots, monkeypatch):
    threads = torch.get_num_threads()
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    task = Task(shots, 0, torch.device("cuda"))

    def patterns(count=1000, task=task, **settings):
        return restarts.patterns_at_once(task, recipe_from_mapping({"method": "hio", **settings}), count)

    assert patterns() == 1000
    assert patterns(restarts=100) == 2**31 // (8 * 8 * 24 * 24) // 100
    assert patterns(batch=12, restarts=4) == 3 and patterns(batch=2, restarts=4) == 1
    there = Task(shots, 0, torch.device("cpu"))
    assert patterns(1000, there) == 8 and patterns(4, there) == max(1, -(-4 // threads))


def test_what_differs_keeps_patterns_apart(shots):
    task = Task(shots, 0, torch.device("cpu"))
    assert may_go_together(task, recipe_from_mapping({"method": "hio"}))
    for mapping in (
        {"method": "hio", "background": {"photons": 2.0}},
        {"method": "hio", "coherence": {"width_px": 3.0}},
        {"sequence": "2*HIO+2*ad_refine"},
    ):
        assert not may_go_together(task, recipe_from_mapping(mapping))
    watched = Task(shots, 0, torch.device("cpu"), preview=print)
    assert not may_go_together(watched, recipe_from_mapping({"method": "hio"}))


def test_progress_counts_every_pattern(shots, monkeypatch):
    done = []

    class Bar:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        update = staticmethod(done.append)

    monkeypatch.setattr(restarts, "progress", lambda total, *_: done.append(-total) or Bar())
    monkeypatch.setattr(restarts, "has_photons", lambda _: True)
    light = Measurement(np.maximum(shots.intensity, 1), shots.measured, "shots")
    reconstruct(light, recipe_from_mapping({"method": "hio", "iterations": 6}), seed=1)
    assert sum(done) == 0
