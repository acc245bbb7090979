"""The moving average of the weights: followed slowly, put in place for a while, kept over a stop."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from cdipipe.training.averaging import MovingAverage


def test_it_follows_faster_at_first_and_gives_the_weights_back():
    layer = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        layer.weight.fill_(0.0)
        average = MovingAverage(layer, 0.9)
        layer.weight.fill_(1.0)
    average.follow(1)  # keeps 1 / 11
    assert average.weights["weight"].item() == pytest.approx(10 / 11)
    with torch.no_grad():
        layer.weight.fill_(0.0)
    average.follow(1000)  # keeps 0.9
    assert average.weights["weight"].item() == pytest.approx(9 / 11)
    with average.in_place():
        assert layer.weight.item() == pytest.approx(9 / 11)
    assert layer.weight.item() == 0
