"""Patterns on another grid: what comes back is the object on the grid of the pattern."""

import numpy as np
import pytest
import torch

from cdipipe.errors import InputError
from cdipipe.networks.resampling import Resampling, plan_resampling, resize_blocks
from cdipipe.optics import fourier
from cdipipe.simulation.registry import get_scene


def polygon(size, extent, seed=1):
    scene = get_scene("polygons")
    parameters = scene.parameters(size=size, object_size=extent, phase_range_rad=2.0)
    return torch.from_numpy(scene.build(parameters, np.random.default_rng(seed)).object.astype(np.complex64))


def pattern_of(object_):
    return fourier.forward(object_, object_.ndim).abs().square().numpy()


def correlation(first, second):
    first, second = (np.asarray(a, np.complex128) for a in (first, second))
    return abs(np.vdot(first, second)) / np.linalg.norm(first) / np.linalg.norm(second)


def middle(array, size):
    return array[tuple(slice(n // 2 - size // 2, n // 2 - size // 2 + size) for n in array.shape)]


def test_resizing_keeps_means_and_smooth_curves():
    constant = np.full((3, 48), 2.5)
    np.testing.assert_allclose(resize_blocks(constant, 1, 32), 2.5)
    x = (np.arange(64) + 0.5) / 64
    y = (np.arange(32) + 0.5) / 32
    curve = np.exp(-((x - 0.4) ** 2) / 0.05)
    np.testing.assert_allclose(resize_blocks(curve, 0, 32), np.exp(-((y - 0.4) ** 2) / 0.05), atol=0.01)


def test_patterns_of_the_networks_size_are_left_alone():
    pattern = pattern_of(polygon(32, 20))
    plan = plan_resampling(pattern, np.ones_like(pattern, bool), 32, 1.2, "cdi_nn")
    assert plan.is_identity and plan.shrink(pattern) is pattern


@pytest.mark.parametrize("size, extent, crop", [(64, 24, 64), (128, 24, 64), (96, 20, 96), (128, 20, 96)])
def test_the_object_comes_back_on_the_grid_of_its_pattern(size, extent, crop):
    """The network's part is played by the object itself: sampled as the resampled pattern asks for."""
    object_ = polygon(size, extent)
    pattern = pattern_of(object_)
    plan = Resampling(pattern.shape, 32, crop)
    coarse = middle(fourier.forward(object_).numpy(), crop)
    small = middle(fourier.inverse(torch.from_numpy(np.ascontiguousarray(coarse))).numpy(), 32)
    shift = (32 / crop - 1) / 2  # of the zero frequency, by blocks that have no pixel in their middle
    axis = np.arange(-16, 16)
    tilted = torch.from_numpy((small * np.exp(2j * np.pi * shift / 32 * (axis[:, None] + axis))).astype(np.complex64))
    predicted, asked = pattern_of(tilted), plan.shrink(pattern)
    assert correlation(np.sqrt(predicted), np.sqrt(asked)) > 0.97
    untilted = pattern_of(torch.from_numpy(small))
    assert correlation(np.sqrt(untilted), np.sqrt(asked)) < correlation(np.sqrt(predicted), np.sqrt(asked))
    back = plan.enlarge(tilted[None])[0].numpy()
    assert back.shape == (size, size)
    assert correlation(back, object_.numpy()) > (0.999 if crop == size else 0.97)


def test_the_oversampling_decides_the_crop():
    object_ = polygon(128, 24)  # about 5.3 times oversampled
    pattern = pattern_of(object_)
    measured = np.ones_like(pattern, bool)
    crops = [plan_resampling(pattern, measured, 32, target, "n").crop for target in (1.3, 2.0, 4.0)]
    assert crops[0] > crops[1] > crops[2] >= 32 and all(crop % 8 == 0 for crop in crops)


def test_small_patterns_are_refused():
    with pytest.raises(InputError, match="smaller than the network's 32 pixels"):
        plan_resampling(np.ones((24, 64), np.float32), np.ones((24, 64), bool), 32, 1.2, "cdi_nn")
