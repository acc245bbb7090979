"""Refinement of objects of constant modulus: gradients, better objects, any scale of the counts, gaps."""

import numpy as np
import pytest
import torch

import cdipipe as cdi
from cdipipe.metrics.align import align_to
from cdipipe.networks.cdi_nn.settings import CdiNnParameters
from cdipipe.networks.flat_objects import loss_and_gradient, predict_refined, refine
from cdipipe.networks.predictor import load_predictor

ASKED = {"seed": 8, "size": 32, "count": 16, "phase_range_rad": 2 * np.pi}


def correlations(objects, truth):
    return np.array([align_to(t, o, upsample=10).correlation for t, o in zip(truth.object, objects, strict=True)])


def test_gradient_is_that_of_autograd():
    random = torch.Generator().manual_seed(0)
    objects = torch.randn(2, 16, 16, dtype=torch.complex64, generator=random).requires_grad_(True)
    modulus, measured = torch.rand(2, 16, 16, generator=random), torch.rand(2, 16, 16, generator=random) > 0.2
    loss, gradient = loss_and_gradient(objects, modulus * measured, measured)
    loss.sum().backward()
    torch.testing.assert_close(gradient.detach(), objects.grad, rtol=1e-4, atol=1e-6 * float(gradient.abs().max()))


@pytest.mark.parametrize("photons", [0, 1e5])
def test_refined_objects_are_nearer_the_truth(photons):
    measurement, truth = cdi.simulate("polygons", photons=photons, with_truth=True, **ASKED)
    plain, refined = (cdi.reconstruct(measurement, {"method": "cdi_nn", "refine": steps}) for steps in (0, 75))
    before, after = correlations(plain.object, truth), correlations(refined.object, truth)
    assert after.mean() > before.mean() + 0.005 and np.median(after) > np.median(before) + 0.01


def test_views_end_where_two_agree_and_the_best_one_stays():
    measurement, truth = cdi.simulate("polygons", photons=0, with_truth=True, **ASKED)
    patterns, calls = torch.from_numpy(measurement.intensity), []
    seen, predictor = torch.ones_like(patterns, dtype=torch.bool), load_predictor("cdi_nn", CdiNnParameters(), "cpu")

    def apply(some):
        calls.append(len(some))
        return predictor(some, seen[: len(some)])[0]

    with torch.inference_mode():
        one, most = (predict_refined(apply, patterns, seen, views, 40) for views in (1, 8))
    assert calls[:3] == [16, 16, 16] and calls[3:] == sorted(calls[3:], reverse=True) and 0 < calls[3] < 16
    assert correlations(most.numpy(), truth).mean() > correlations(one.numpy(), truth).mean()


def test_scale_of_the_counts_does_not_matter():
    measurement, truth = cdi.simulate("polygons", photons=0, with_truth=True, **ASKED)
    modulus = torch.from_numpy(measurement.intensity).sqrt()
    seen, start = torch.ones_like(modulus, dtype=torch.bool), torch.from_numpy(truth.object).to(torch.complex64)
    (one, loss), (two, other) = (refine(start * a, modulus * b, seen, 60, 0.1) for a, b in ((1, 1), (7, 40)))
    torch.testing.assert_close(loss, other, rtol=0.05, atol=0)
    for found in (one, two):  # a truth stays
        assert np.median(correlations(found.numpy(), truth)) > 0.99


def test_a_dark_pattern_is_no_number_to_divide_by():
    dark = torch.zeros(1, 32, 32)
    found, loss = refine(dark.to(torch.complex64), dark, dark.bool(), 3, 0.1)
    assert torch.isfinite(torch.view_as_real(found)).all() and torch.isfinite(loss).all()
