"""Where the middle of the pattern is, whatever spoils it."""

from pathlib import Path

import numpy as np
import pytest
from intake import imported
from patterns import disc, pattern

from cdipipe.errors import InputError
from cdipipe.study.entries import ImportEntry

CENTRE = (38, 23)


def shifted(photons=1e7):
    return pattern(photons=photons, centre=CENTRE).astype(np.uint32)


def spoil(counts, kind):
    """The counts with a defect, and the options one would type."""
    if kind == "two hot neighbours":
        counts[50, 50:52] = 10 * counts.max()
    elif kind == "a gap given as saturated":
        counts[10:14] = 10**6
        return counts, {"saturation": 10**6}
    elif kind == "a masked hot pixel":
        counts[3, 60] = 10**6
        return counts, {"saturation": 10**6}
    elif kind == "saturated":
        return np.minimum(counts, 3000), {"saturation": 3000}
    elif kind == "beam stop":
        counts[disc(counts.shape, (37, 24), 4)] = 2**32 - 1
    elif kind == "beam stop without counts":
        counts[disc(counts.shape, (37, 24), 4)] = 0
    elif kind == "gap through the beam":
        counts[36:40] = 2**32 - 1
    return counts, {}


KINDS = ["two hot neighbours", "a gap given as saturated", "a masked hot pixel", "saturated", "beam stop"]
KINDS += ["beam stop without counts", "gap through the beam"]


@pytest.mark.parametrize("kind", KINDS)
def test_defects_do_not_move_the_centre(save, kind):
    counts, options = spoil(shifted(), kind)
    _, facts, told = imported(save(counts), crop=(32,), **options)
    assert facts["centre"] == CENTRE and f"index {CENTRE} of the pattern is now at (16, 16)" in told
    if kind == "beam stop":
        assert "the middle is unmeasured" in told
    if kind == "beam stop without counts":
        assert "a beam stop that counts as measured" in told


def test_the_centre_is_told_with_its_reason(save):
    assert "the brightest spot" in imported(save(shifted()))[2]
    assert "by symmetry" in imported(save(spoil(shifted(), "beam stop")[0]))[2]
    assert "not sure where the middle is" in imported(save(np.random.default_rng(0).poisson(3, (64, 64))))[2]


def test_a_defect_in_every_slice_does_not_move_the_peak(save):
    volume = np.roll(pattern((24, 48, 48), 1e7, seed=2), (3, -4, 5), (0, 1, 2)).astype(np.uint32)
    volume[:, 7, 40:42] = 10 * volume.max()
    assert imported(save(volume), stack="volume", crop=(16, 32, 32))[1]["centre"] == (15, 20, 29)
    volume[9, 2, 2] = 10**8  # a cosmic ray
    assert imported(save(volume), stack="volume", crop=(16, 32, 32))[1]["centre"] == (15, 20, 29)


ROCKING = {"energy_ev": 9000, "distance_m": 0.5, "pixel_m": "55e-6", "rocking_step_rad": 1e-4}


@pytest.mark.parametrize(
    ("kept", "words"),
    [
        (np.s_[10:], "cut by the scan, or lies beyond: 100% of its maximum is at the first; scan on"),
        (np.s_[:11], "cut by the scan, or lies beyond: 100% of its maximum is at the last; scan on"),
        (np.s_[:, 24:], "cut by the detector's rows, or lies beyond: 100% of its maximum is at the first; take"),
        (np.s_[:, :, :25], "cut by the detector's columns, or lies beyond: 100% of its maximum is at the last"),
    ],
)
def test_a_bragg_peak_that_scan_or_detector_cuts_is_refused(save, kept, words):
    volume = pattern((20, 48, 48), 1e7, seed=2).astype(np.uint32)[kept]
    with pytest.raises(InputError) as caught:
        imported(save(volume), stack="volume", **ROCKING)
    assert words in str(caught.value) and "--centre" in str(caught.value)
    assert words in imported(save(volume), stack="volume")[2]  # no rocking curve: a note
    middle = tuple(size // 2 for size in volume.shape)
    assert imported(save(volume), stack="volume", centre=middle, **ROCKING)[1]["centre"] == middle


def test_half_a_bragg_peak_at_an_end_is_told(save):
    volume = pattern((20, 48, 48), 1e7, seed=2).astype(np.uint32)
    volume[10] //= 2  # so that its top is in the slice before, at an end but for half a peak
    told = imported(save(volume[:11]), stack="volume", **ROCKING)[2]
    assert "cut by the scan" in told and "is at the last" in told


def test_a_whole_bragg_peak_is_not_called_cut(save):
    volume = pattern((20, 48, 48), 1e7, seed=2).astype(np.uint32)
    assert "is cut by" not in imported(save(volume), stack="volume", **ROCKING)[2]
    assert "is cut by" not in imported(save(volume[6:, 10:, :40]), stack="volume", **ROCKING)[2]


def test_a_zero_frequency_in_the_corner_is_asked_about(save):
    counts = np.fft.ifftshift(pattern(photons=1e6, half=4))
    assert "--corner" in imported(save(counts))[2]
    measurement, _, told = imported(save(counts), corner=True)
    assert measurement.intensity.argmax() == 32 * 64 + 32 and "as --corner says" in told
    assert "--corner" not in imported(save(np.fft.fftshift(counts)))[2]


def test_much_beyond_the_detector_is_told(save):
    _, _, told = imported(save(shifted()), crop=(48,), centre=(5, 5))
    assert "63 % of the result lie beyond the detector" in told


def test_a_study_writes_the_same_options():
    entry = ImportEntry(files=["a.h5"], hot_pixels="mask", background="auto", monitor="entry/monitor", mask="m.msk")
    assert entry.sources() == ["a.h5", "m.msk"] and entry.inside(Path("/d")).monitor == "entry/monitor"
    arguments = " ".join(entry.arguments())
    for option in ("--hot-pixels mask", "--background auto", "--monitor entry/monitor", "--mask m.msk"):
        assert option.replace(" ", "=") in arguments.replace(" ", "=")
    assert ImportEntry(files=["a.h5"], monitor="b.h5::flux").sources() == ["a.h5", "b.h5"]
    for wrong in ("low", -1):
        with pytest.raises(ValueError, match="expected auto or a number of at least 0"):
            ImportEntry(files=["a.h5"], background=wrong)
