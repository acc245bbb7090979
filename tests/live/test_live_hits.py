"""Hits among empty frames, by their photons alone."""

from __future__ import annotations

import numpy as np
import pytest

from cdipipe.live.hits import LEAST_FRAMES, HitFinder


@pytest.mark.parametrize("share", [0.02, 0.3, 0.7])
@pytest.mark.parametrize("level", [4, 300, 20_000])
def test_hits_stand_out_whatever_their_share_and_the_background(share, level):
    rng = np.random.default_rng([int(100 * share), level])
    is_hit = rng.random(4000) < share
    photons = rng.poisson(level, 4000) + is_hit * rng.poisson(12 * np.sqrt(level) + 20, 4000)
    finder = HitFinder()
    scores = np.concatenate([finder.score(part) for part in photons.astype(float).reshape(-1, 16)])[512:]
    is_hit = is_hit[512:]
    assert (scores[is_hit] >= 5).mean() > 0.97
    assert (scores[~is_hit] >= 5).mean() < 0.002
    assert -1 < np.median(scores[~is_hit]) < 1.6


def test_a_slow_drift_of_the_background_makes_no_hits():
    rng = np.random.default_rng(0)
    photons = rng.poisson(np.linspace(500, 1500, 8000)).astype(float)
    finder = HitFinder()
    scores = np.concatenate([finder.score(part) for part in photons.reshape(-1, 16)])
    assert (scores[64:] >= 6).mean() < 0.01


def test_before_anything_is_known_every_frame_with_photons_is_a_hit():
    scores = HitFinder().score(np.array([0.0, 3.0, 50.0]))
    assert scores.tolist() == [0, np.inf, np.inf]
    finder = HitFinder()
    finder.score(np.full(LEAST_FRAMES, 100.0))
    assert finder.score(np.array([100.0]))[0] < 2
