"""Places on a grid whose centre is at N // 2."""

import numpy as np

from cdipipe.optics.grid import central_slices, embed, pixel_axes


def test_axes_count_from_the_centre():
    rows, columns = pixel_axes((4, 5))
    assert rows.ravel().tolist() == [-2, -1, 0, 1] and columns.ravel().tolist() == [-2, -1, 0, 1, 2]
    assert (rows + columns).shape == (4, 5)


def test_a_block_lies_centre_on_centre():
    for size in (7, 8):
        for side in (3, 4):
            block = np.zeros((2, side, side))
            block[:, side // 2, side // 2] = 1
            whole = embed(block, (size, size))
            assert whole.shape == (2, size, size) and whole[0, size // 2, size // 2] == 1 and whole.sum() == 2
    assert central_slices((8, 8), (2, 4), (1, -1)) == (slice(4, 6), slice(1, 5))
