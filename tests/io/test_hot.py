"""Pixels that count without light, and what may not be taken for them."""

import numpy as np
import pytest
from patterns import disc, pattern

from cdipipe.io.importing.lone import find_hot, lone_pixels, stands_out


def found(counts, measured=None):
    measured = np.ones(counts.shape, bool) if measured is None else measured
    return np.argwhere(lone_pixels(counts, measured)).tolist()


def maps(frames):
    return frames.sum(0), frames.max(0), frames.min(0), np.full(frames.shape[1:], len(frames))


@pytest.mark.parametrize("half", [4, 8, 12, 15])
@pytest.mark.parametrize("photons", [1e3, 1e5, 1e7, 1e9])
def test_nothing_of_a_pattern_is_hot(half, photons):
    """From an object of 1/8 of the field to the largest that can be phased, beside gaps and beam stops too."""
    counts = pattern((64, 64), photons, half, half)
    measured = np.ones(counts.shape, bool)
    assert found(counts) == []
    measured[40:43] = False
    measured &= ~disc(counts.shape, (32, 31), 2.5)
    assert found(counts, measured) == []


@pytest.mark.parametrize("level", [0.01, 0.3, 3, 100])
def test_poisson_noise_is_not_hot(level):
    assert found(np.random.default_rng(0).poisson(level, (512, 512))) == []


@pytest.mark.parametrize(
    "defect", [[(9, 50)], [(9, 50), (9, 51)], [(9, 50), (10, 51)], [(9, 50), (9, 51), (10, 50)], [(0, 0)], [(63, 30)]]
)
def test_single_pixels_and_small_clusters_are_found(defect):
    counts = pattern()
    for index in defect:
        counts[index] += 50_000
    assert found(counts) == sorted(map(list, defect))


def test_a_dim_defect_is_found_where_it_is_dark():
    counts = pattern(photons=1e5)
    counts[4, 60] = 100
    assert found(counts) == [[4, 60]]


def test_a_defect_beside_a_gap_is_found():
    counts, measured = pattern(), np.ones((64, 64), bool)
    measured[20:24] = False
    counts[24, 50] = 10**6
    assert found(counts, measured) == [[24, 50]]


def test_defects_of_a_stack_are_hot_in_every_frame_and_cosmic_rays_in_one():
    frames = np.stack([pattern(photons=1e5, seed=s) for s in range(12)]).astype(np.float32)
    frames[:, 7, 40] += 40
    frames[5, 30, 3] = 5000
    hot = find_hot(*maps(frames))
    assert np.argwhere(hot.always).tolist() == [[7, 40]] and np.argwhere(hot.once).tolist() == [[30, 3]]
    where = stands_out(frames, np.ones(frames.shape, bool), hot.once)
    assert np.argwhere(where).tolist() == [[5, 30, 3]]


def test_a_pixel_that_is_hot_now_and_then_is_a_defect():
    frames = np.stack([pattern(photons=1e5, seed=s) for s in range(12)]).astype(np.float32)
    frames[::3, 7, 40] = 5000
    assert np.argwhere(find_hot(*maps(frames)).always).tolist() == [[7, 40]]


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("lines", [[50], [50, 51], [0]])
def test_broken_rows_and_columns_are_defects(axis, lines):
    frames = np.stack([pattern((64, 96), 1e5, seed=s) for s in range(3)]).astype(np.float32)
    broken = np.zeros((64, 96), bool)
    np.moveaxis(broken, axis, 0)[lines] = True
    frames[:, broken] = 900
    assert np.array_equal(find_hot(*maps(frames)).always, broken)


def test_a_streak_through_the_beam_is_light():
    row, column = np.mgrid[-48:48, -48:48]
    light = 1e4 / (1 + row**2) * np.exp(-(column**2) / 0.5) + 1e4 * np.exp(-(row**2 + column**2) / 10) + 1
    frames = np.random.default_rng(0).poisson(light, (3, 96, 96)).astype(np.float32)
    assert not find_hot(*maps(frames)).always.any()


def test_a_rocking_curve_has_a_peak_and_no_hot_pixel():
    volume = pattern((24, 48, 48), 1e7, seed=2).astype(np.float32)
    hot = find_hot(*maps(volume))
    assert not hot.always.any() and not hot.once.any()
    volume[:, 7, 40] = 10 * volume.max()
    assert np.argwhere(find_hot(*maps(volume)).always).tolist() == [[7, 40]]


def test_single_photons_in_other_units_are_no_defects():
    """A camera of 600 units per photon: too many lone pixels to be defects."""
    counts = 600 * np.random.default_rng(0).poisson(0.02, (64, 64))
    hot = find_hot(*maps(counts[None].astype(np.float32)))
    assert not hot.always.any() and hot.too_many > 50
