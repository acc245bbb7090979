"""Where the middle of a pattern is, whatever the detector did to it."""

import numpy as np
import pytest
from patterns import disc, pattern

from cdipipe.io.importing.middle import bright_patch, find_middle

TRUE = (38, 23)


def middle(counts, measured=None):
    measured = np.ones(counts.shape, bool) if measured is None else measured
    return find_middle(counts.astype(float), measured)


@pytest.mark.parametrize("photons", [3e3, 1e5, 1e7])
def test_the_brightest_spot_is_the_middle(photons):
    found = middle(pattern(photons=photons, centre=TRUE))
    assert found.index == TRUE and found.how == "spot" and found.confidence == "sure"


def test_lone_photons_are_blurred_first():
    counts = np.zeros((64, 64))
    counts[5, 5] = 3
    counts[26:40:2, 26:40:2] = 1
    y, x = middle(counts).index
    assert 28 <= y <= 36 and 28 <= x <= 36


@pytest.mark.parametrize("radius", [1.5, 3, 5])
@pytest.mark.parametrize("offset", [(0, 0), (1, -1)])
def test_a_masked_beam_stop_hides_nothing(radius, offset):
    counts = pattern(photons=1e7, half=5, centre=TRUE)
    stop = disc(counts.shape, np.add(TRUE, offset), radius)
    found = middle(counts, ~stop)
    assert found.index == TRUE and found.how == "symmetry" and found.confidence == "sure"
    assert found.unmeasured_px == stop.sum()


def test_a_beam_stop_that_counts_as_measured_is_seen():
    stop = disc((96, 96), (51, 40), 6)
    wired = stop.copy()
    wired[50:52, :40] = True
    for shadow in (stop, wired):
        found = middle(np.where(shadow, 0, pattern((96, 96), 1e8, half=5, centre=(50, 40))))
        assert found.index == (50, 40) and found.dark_px >= 0.5 * stop.sum()
    assert middle(pattern((96, 96), 1e8, half=5)).dark_px == 0


@pytest.mark.parametrize("first", [35, 37, 38])
def test_gaps_through_the_beam(first):
    counts, measured = pattern(photons=1e7, centre=TRUE), np.ones((64, 64), bool)
    measured[first : first + 3] = False
    measured[:, 45:48] = False
    found = middle(counts, measured)
    assert found.index == TRUE and found.confidence == "sure"


def test_saturated_pixels_leave_the_middle_where_it_is():
    counts = pattern(photons=1e7, centre=TRUE)
    measured = counts < 0.05 * counts.max()
    assert middle(counts, measured).index == TRUE


def test_a_patch_with_a_bright_rim_is_the_last_resort():
    row, column = np.mgrid[:40, :50]
    counts = 1000 * np.exp(-((row - 12) ** 2 + (column - 23) ** 2) / 50)
    measured = ~disc(counts.shape, (12, 23), 3) & ~disc(counts.shape, (30, 40), 5)
    measured[20:22] = False
    assert bright_patch(counts, measured) == (12, 23)


def test_a_block_of_hot_pixels_does_not_outshine_a_symmetric_pattern():
    counts = pattern(photons=1e7, centre=TRUE)
    counts[5:9, 55:59] = 10 * counts.max()
    found = middle(counts)
    assert found.index == TRUE and found.how == "symmetry"


def test_a_strained_crystal_keeps_its_bragg_peak():
    row, column = np.mgrid[-64:64, -64:64]
    crystal = (abs(row) + abs(column) < 14) * np.exp(2j * (column / 14.0) ** 2)
    power = np.abs(np.fft.fftshift(np.fft.fft2(crystal))) ** 2
    counts = np.random.default_rng(0).poisson(power / power.max() * 1e5)
    found = middle(counts)
    assert found.how == "spot" and np.abs(np.subtract(found.index, 64)).max() <= 2


def test_noise_is_not_sure_of_anything():
    counts = np.random.default_rng(0).poisson(3, (64, 64))
    assert middle(counts).confidence == "not sure"


@pytest.mark.parametrize("shape", [(300, 410), (513, 260), (700, 64)])
def test_large_patterns_are_searched_coarsely_first(shape):
    centre = (shape[0] // 2 + 31, shape[1] // 2 - 18)
    counts = pattern(shape, 1e7, half=9, centre=centre)
    assert middle(counts, ~disc(shape, centre, 9)).index == centre
