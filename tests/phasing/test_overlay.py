"""Runs laid over the best in a batch: where one after another comes to lie."""

import numpy as np
import pytest
import torch
from objects import correlation, make_object

from cdipipe.metrics.align import lay_over, twin_of
from cdipipe.optics import fourier
from cdipipe.phasing.overlay import lay_over_many


def moved(object_, shift, twin, phase):
    other = fourier.shift_subpixel(torch.from_numpy(object_), shift).numpy()
    return (twin_of(other) if twin else other) * np.complex64(np.exp(1j * phase))


@pytest.mark.parametrize("shape", [(48, 48), (45, 50), (16, 18, 20)], ids=str)
def test_shift_twin_and_phase_are_undone(shape):
    best, _ = make_object(shape)
    noise = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    shifts = [(0.0,) * len(shape), (3.0, -2.0, 1.0)[: len(shape)], (0.37, 2.81, -1.5)[: len(shape)]]
    others = np.stack([moved(best, s, twin, 0.7) + noise for s in shifts for twin in (False, True)])
    found = lay_over_many(torch.from_numpy(best), torch.from_numpy(others), "shift").numpy()
    for one, other in zip(found, others, strict=True):
        alone = lay_over(best, other, "shift")
        np.testing.assert_allclose(one, alone, atol=2e-4 * np.abs(best).max())
        assert correlation(best, one) > 0.99


@pytest.mark.parametrize("freedom", ["phase", "none"])
def test_what_is_not_open_stays(freedom):
    best, _ = make_object((48, 48))
    other = moved(best, (3.0, 0.0), False, 0.7)
    found = lay_over_many(torch.from_numpy(best), torch.from_numpy(other[None]), freedom).numpy()[0]
    np.testing.assert_allclose(found, lay_over(best, other, freedom), atol=1e-4 * np.abs(best).max())
