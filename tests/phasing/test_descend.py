"""Supports that the descent makes looser."""

import torch

from cdipipe.phasing.descend import dilate


def test_dilation_grows_a_support_around_the_corner():
    support = torch.zeros((1, 9, 8), dtype=torch.bool)
    support[0, 0, 0] = True
    grown = dilate(support, 2, 2)
    assert int(grown.sum()) == 25 and grown[0, -2, -2] and grown[0, 2, 2] and not grown[0, 3, 0]
