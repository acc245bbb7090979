"""Gradient refinement: from a rough start to a better object."""

import numpy as np
import pytest
import torch
from objects import make_object

from cdipipe.measurement import Measurement
from cdipipe.metrics.align import align_to
from cdipipe.optics import fourier
from cdipipe.phasing.recipe import recipe_from_mapping
from cdipipe.phasing.reconstruct import Start, reconstruct


def noisy(photons, shape=(48, 48), seed=3):
    object_, support = make_object(shape, photons=photons)
    intensity = fourier.forward(torch.from_numpy(object_), len(shape)).abs().square().numpy()
    counts = np.random.default_rng(seed).poisson(intensity).astype(np.float32)
    return Measurement(counts, np.ones(shape, bool), "single" if len(shape) == 2 else "volume"), object_, support


def rough(object_, support, seed=1):
    """The object with a third of noise inside its support."""
    generator = np.random.default_rng(seed)
    noise = generator.normal(size=(2, *object_.shape))
    return ((object_ + 0.3 * np.abs(object_).max() * (noise[0] + 1j * noise[1])) * support).astype(np.complex64)


def refine(measurement, start, **settings):
    return reconstruct(measurement, recipe_from_mapping({"method": "ad_refine", **settings}), seed=1, start=start)


@pytest.mark.parametrize("loss", ["amplitude", "poisson", "max_amplitude"])
@pytest.mark.parametrize("shape", [(48, 48), (20, 22, 24)], ids=str)
def test_every_misfit_leads_from_a_rough_start_to_the_object(loss, shape):
    measurement, object_, support = noisy(1e7, shape)
    start = Start(rough(object_, support), support)
    before = align_to(object_, start.object).correlation
    result = refine(measurement, start, loss=loss, iterations=300, learning_rate=0.05)
    after = align_to(object_, result.object).correlation
    assert before < 0.95 < 0.99 < after
    assert not result.object[~result.support].any()


def test_total_variation_helps_where_photons_are_few():
    measurement, object_, support = noisy(2e4, (80, 80))
    start = Start(object_, support)
    wide = {"loss": "poisson", "dilate_px": 3}
    plain, smooth = (refine(measurement, start, **wide, tv_weight=weight) for weight in (0.0, 1.0))
    errors = [1 - align_to(object_, result.object).correlation for result in (plain, smooth)]
    assert errors[1] < 0.7 * errors[0]


def test_never_worse_than_its_start():
    measurement, object_, support = noisy(1e6)
    settings = {"loss": "poisson", "iterations": 5, "learning_rate": 1.0}
    first = refine(measurement, Start(object_, support), **{**settings, "iterations": 1, "learning_rate": 1e-6})
    wild = refine(measurement, Start(object_, support), **settings)
    assert wild.run_scores["poisson_nll"][0] <= first.run_scores["poisson_nll"][0] * 1.01
    assert wild.error_trace.max() > 1.2 * wild.error_trace[0, 0], "the steps were too large on purpose"


def test_a_support_that_is_too_wide_shrinks_as_the_loss_falls():
    measurement, object_, support = noisy(1e7)
    start = Start(rough(object_, support), support)
    fixed = refine(measurement, start, iterations=300, dilate_px=3)
    moving = refine(measurement, start, iterations=300, dilate_px=3, support_every=50)
    assert fixed.support.sum() > 1.3 * support.sum()
    assert moving.support.sum() < 0.8 * fixed.support.sum()
    assert (moving.support & support).sum() > 0.9 * support.sum()


def test_restarts_are_refined_on_their_own():
    measurement, object_, support = noisy(1e6)
    start = Start(rough(object_, support), support)
    recipe = {"method": "ad_refine", "iterations": 40, "restarts": 3, "support_every": 10}
    alone, together = (
        reconstruct(measurement, recipe_from_mapping({**recipe, "batch": size}), seed=1, start=start, keep_runs=True)
        for size in (1, 3)
    )
    np.testing.assert_allclose(
        alone.run_scores["poisson_nll"], together.run_scores["poisson_nll"], rtol=1e-3
    )  # float32 sums in another order
    assert len(set(alone.run_scores["poisson_nll"].tolist())) == 3
