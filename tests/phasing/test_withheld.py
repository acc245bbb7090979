"""Withheld pixels: blocks of about a speckle, as many as asked for, never the middle."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

import cdipipe.api as cdi
from cdipipe.errors import InputError
from cdipipe.phasing.withheld import choose_free_pixels, speckle_px


@pytest.fixture(scope="module")
def measurement():
    return cdi.simulate("polygons", size=64, photons=1e6, seed=3)


def test_a_speckle_is_the_array_over_the_objects_extent():
    """A bar of 8 by 16 pixels has speckles of about 8 by 4."""
    bar = np.zeros((64, 64))
    bar[28:36, 24:40] = 1
    counts = np.abs(np.fft.fftshift(np.fft.fft2(bar))) ** 2
    found = speckle_px(cdi.Measurement(counts.astype(np.float32), np.ones(counts.shape, bool)))
    assert found == pytest.approx((8, 4), rel=0.15)


def test_blocks_are_whole_speckles_and_make_the_share_away_from_the_middle(measurement):
    fraction = 0.06
    side = [round(size) for size in speckle_px(measurement)]
    assert min(side) > 1
    masks = [choose_free_pixels(measurement, fraction, seed, 0) for seed in range(8)]
    assert np.mean(masks) == pytest.approx(fraction, rel=0.1)
    for mask in masks:
        assert not mask[32 - 2 : 32 + 3, 32 - 2 : 32 + 3].any()
        labels, count = ndimage.label(mask[1:-1, 1:-1])
        inner = [box for box in ndimage.find_objects(labels) if all(s.start and s.stop < 62 for s in box)]
        assert count and all(s.stop - s.start >= n for box in inner for s, n in zip(box, side, strict=True))
    assert not np.array_equal(masks[0], masks[1])
    assert np.array_equal(masks[0], choose_free_pixels(measurement, fraction, 0, 0))


def test_single_pixels_stay_single(measurement):
    mask = choose_free_pixels(measurement, 0.05, 1)
    assert ndimage.label(mask, np.ones((3, 3)))[1] > 0.6 * mask.sum()


def test_too_large_blocks_are_refused(measurement):
    with pytest.raises(InputError, match="free block 9 px: expected 0"):
        choose_free_pixels(measurement, 0.05, 1, 9)


def test_the_free_likelihood_of_a_run_is_that_of_its_result(measurement):
    result = cdi.reconstruct(measurement, "hio", iterations=30, seed=2, free_fraction=0.05, free_block_px=0)
    found = cdi.evaluate(result, measurement).metrics
    assert found["poisson_nll_free"] == pytest.approx(result.run_scores["poisson_nll_free"][0], rel=1e-4)
    assert found["poisson_nll_free"] > found["poisson_nll"]
