import mutations
import numpy as np
import pytest

from cdipipe.errors import InputError
from cdipipe.io.importing.detector import Frames
from cdipipe.io.importing.window import bin_frames, crop_frames, find_centre


def frames_of(counts):
    return Frames(np.asarray(counts, np.float32), np.ones(np.shape(counts), bool))


def test_the_peak_is_found_beside_a_hot_pixel():
    counts = np.roll(mutations.counts(np.random.default_rng(0), (40, 50)), (4, -7), (0, 1)).astype(float)
    peak = np.unravel_index(counts.argmax(), counts.shape)
    counts[3, 3] = 1e6
    assert find_centre(counts) == peak


def test_a_saturated_patch_gives_its_middle():
    counts = mutations.counts(np.random.default_rng(0), (40, 50))
    saturated = np.zeros(counts.shape, bool)
    saturated[10:15, 20:27] = True
    saturated[30, 30] = True
    assert find_centre(counts, saturated) == (12, 23)


def test_patterns_of_lone_photons_are_blurred_first():
    counts = np.zeros((64, 64))
    counts[5, 5] = 3
    counts[26:40:2, 26:40:2] = 1
    y, x = find_centre(counts)
    assert 28 <= y <= 36 and 28 <= x <= 36


@pytest.mark.parametrize("size", [(8, 8), (9, 7), (30, 5)])
@pytest.mark.parametrize("shape", [(20, 21), (3, 20, 21)])
def test_cropping_puts_the_centre_at_half_the_size(shape, size):
    counts = np.zeros(shape)
    counts[..., 4, 6] = 5
    cropped = crop_frames(frames_of(counts), (4, 6), size)
    assert cropped.counts.shape == (*shape[:-2], *size)
    assert (cropped.counts[..., size[0] // 2, size[1] // 2] == 5).all() and cropped.counts.sum() == counts.sum()


def test_pixels_beyond_the_detector_are_not_measured():
    cropped = crop_frames(frames_of(np.ones((6, 6, 6))), (0, 3, 3), (4, 4, 4))
    assert not cropped.measured[:2].any() and cropped.measured[2:].all()
    assert cropped.masked["beyond_detector"] == 2 * 4 * 4
    with pytest.raises(InputError, match="no pixel"):
        crop_frames(frames_of(np.ones((6, 6))), (100, 3), (4, 4))


def test_binning_sums_photons_and_trusts_only_whole_blocks():
    frames = frames_of(np.arange(24).reshape(4, 6))
    frames.measured[0, 0] = False
    binned = bin_frames(frames, (2, 3))
    assert binned.counts.tolist() == [[0, 3 + 4 + 5 + 9 + 10 + 11], [12 + 13 + 14 + 18 + 19 + 20, 114]]
    assert binned.measured.tolist() == [[False, True], [True, True]]


def test_binning_keeps_the_centre_and_drops_what_fills_no_block():
    counts = np.zeros((2, 13, 16))
    counts[:, 6, 8] = 4
    binned = bin_frames(frames_of(counts), (2, 2))
    assert binned.counts.shape == (2, 6, 8) and (binned.counts[:, 3, 4] == 4).all()
    with pytest.raises(InputError, match="larger than"):
        bin_frames(frames_of(counts), (14, 2))
