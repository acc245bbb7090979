"""Where the first support comes from, as seen in the reconstructions."""

import numpy as np
import pytest
import torch
from objects import make_object

from cdipipe.measurement import Measurement
from cdipipe.optics import fourier
from cdipipe.phasing.recipe import recipe_from_mapping
from cdipipe.phasing.reconstruct import reconstruct


def filled(settings) -> tuple[int, int]:
    """Rows and columns that ER fills of a 48 x 48 pattern while its start support stays."""
    object_, _ = make_object((48, 48))
    intensity = fourier.forward(torch.from_numpy(object_)).abs().square().numpy()
    recipe = {"method": "er", "iterations": 3, "shrink_wrap": {"every": 0}, "start_support": settings}
    result = reconstruct(Measurement(intensity, np.ones((48, 48), bool)), recipe_from_mapping(recipe), seed=0)
    inside = np.abs(result.object) > 0
    return tuple(int(inside.any(axis).sum()) for axis in (1, 0))


@pytest.mark.parametrize(
    "settings, sides",
    [
        ({"half_side_px": 5}, (11, 11)),
        ({"half_side_px": 5, "kind": "full"}, (11, 11)),
        ({"half_side_px": 40}, (25, 25)),  # no more than half the array
        ({"kind": "full"}, (25, 25)),
    ],
)
def test_the_start_support_has_the_sides_asked_for(settings, sides):
    assert filled(settings) == sides


def test_the_autocorrelation_tells_how_long_the_object_is():
    _, support = make_object((48, 48))
    for found, axis in zip(filled({}), (1, 0), strict=True):
        assert abs(found - support.any(axis).sum()) <= 2
