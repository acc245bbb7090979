import numpy as np
import pytest

from cdipipe.errors import InputError
from cdipipe.io.importing.frames import Frames
from cdipipe.io.importing.window import axis_order, bin_frames, binned_place, crop_axis


def frames_of(counts):
    return Frames(np.asarray(counts, np.float32), np.ones(np.shape(counts), bool))


@pytest.mark.parametrize("size", [7, 8, 30])
@pytest.mark.parametrize("centre", [0, 4, 19])
def test_a_window_puts_the_centre_at_half_its_size(size, centre):
    window = crop_axis(np.arange(20), 1, centre, size)
    result = np.full(size, -1)
    result[window.inside] = window.order
    assert result[size // 2] == centre and (result[result >= 0] == window.order).all()
    beyond = np.arange(size) - size // 2 + centre
    assert (result >= 0).tolist() == [0 <= place < 20 for place in beyond]
    with pytest.raises(InputError, match="no pixel"):
        crop_axis(np.arange(20), 1, 100, 4)


def test_a_window_counts_blocks_where_pixels_are_binned():
    order = axis_order(11, corner=False, factor=2)
    window = crop_axis(order, 2, binned_place(order, 2, 7), 4)
    assert window.order.tolist() == [2, 3, 4, 5, 6, 7, 8, 9] and window.inside == slice(0, 4)
    assert binned_place(order, 2, 10) == 4  # it fills no block
    corner = axis_order(5, corner=True, factor=1)
    assert corner.tolist() == [3, 4, 0, 1, 2] and binned_place(corner, 1, 0) == 2


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
