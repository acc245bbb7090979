"""Hot pixels, background and incident flux."""

import h5py
import numpy as np
import pytest
from intake import imported
from patterns import pattern

from cdipipe.errors import InputError


def hot_frames():
    frames = np.stack([pattern(photons=1e5, seed=s) for s in range(8)])
    frames[:, 7, 40] += 500
    frames[:, 50, 3] += 300
    frames[3, 12, 12] = 4000
    return frames


def test_hot_pixels_are_told_of_by_default(save):
    measurement, facts, told = imported(save(hot_frames()), stack="shots")
    assert measurement.measured.all() and facts["hot_pixels"]["always"] == [[7, 40], [50, 3]]
    assert "2 hot pixels: (7, 40) with" in told and "(12, 12)" in told and "--hot-pixels mask" in told
    assert "hot pixel" not in imported(save(hot_frames()), stack="shots", hot_pixels="keep")[2]


def test_hot_pixels_are_masked_where_one_says_so(save):
    measurement, facts, _ = imported(save(hot_frames()), stack="shots", hot_pixels="mask")
    expected = np.ones((8, 64, 64), bool)
    expected[:, 7, 40] = expected[:, 50, 3] = expected[3, 12, 12] = False
    assert np.array_equal(measurement.measured, expected) and facts["masked"] == {"hot": 16, "cosmic": 1}


def test_a_narrow_direct_beam_is_no_hot_pixel(save):
    counts = pattern(photons=1e6)
    counts[32, 32] = 10**8
    assert "hot pixel" not in imported(save(counts))[2]


def test_a_background_is_subtracted_and_its_noise_stays(save):
    counts = pattern(photons=1e5) + np.random.default_rng(1).poisson(3, (64, 64))
    measurement, _, told = imported(save(counts), background=3)
    np.testing.assert_allclose(measurement.intensity, counts - 3.0)
    assert (measurement.intensity < 0).any() and "counts below zero are noise and stay" in told


def test_gaps_get_no_negative_counts(save):
    counts = pattern(photons=1e5).astype(np.uint32)
    counts[40:44] = 2**32 - 1
    assert (imported(save(counts), background=3)[0].intensity[40:44] == 0).all()


@pytest.mark.parametrize("level", [0.3, 3, 40])
def test_the_background_is_estimated_where_it_is_dark(save, level):
    counts = pattern((96, 96), 1e5, half=6) + np.random.default_rng(1).poisson(level, (96, 96))
    _, facts, told = imported(save(counts), background="auto")
    assert facts["background"] == pytest.approx(level, rel=0.12, abs=0.1) and "blocks" in told and "a guess" in told


def test_speckles_are_no_background(save):
    counts = pattern((96, 96), 1e7, half=12)
    _, facts, _ = imported(save(counts), background="auto")
    assert facts["background"] < 0.2 * np.median(counts)


def test_frames_are_scaled_to_the_incident_flux(save, tmp_path):
    frames, flux = np.stack([pattern(photons=1e5, seed=3)] * 4).astype(float), np.array([1.0, 2.0, 0.5, 0.5])
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file["entry/data/data"] = frames * flux[:, None, None]
        file["entry/monitor"] = flux * 7
    file = f"{tmp_path}/scan.h5"
    for monitor in ("entry/monitor", f"{file}::entry/monitor", save(flux, "flux.npy")):
        measurement, facts, told = imported(file, dataset="entry/data/data", stack="shots", monitor=monitor)
        np.testing.assert_allclose(measurement.intensity, frames, rtol=1e-5)
        assert facts["poisson"] is False and "no longer pure Poisson" in told
    chosen, _, _ = imported(file, dataset="entry/data/data", stack="shots", monitor="entry/monitor", frames="1:3")
    np.testing.assert_allclose(chosen.intensity, frames[1:3] * 1.25, rtol=1e-5)


def test_a_monitor_must_fit(save):
    frames = np.stack([pattern()] * 3)
    with pytest.raises(InputError, match="has 2 values; there are 3 frames"):
        imported(save(frames), stack="shots", monitor=save(np.ones(2), "m.npy"))
    with pytest.raises(InputError, match="is 0 in frame 1"):
        imported(save(frames), stack="shots", monitor=save(np.array([1, 0, 1]), "m.npy"))
    with pytest.raises(InputError, match="single pattern"):
        imported(save(frames[0]), monitor=save(np.ones(1), "m.npy"))
