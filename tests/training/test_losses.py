"""Losses: zero where they must be, blind to what they must not see, and with finite gradients."""

import pytest
import torch

from cdipipe.networks.losses import distances as losses
from cdipipe.networks.losses.labels import twin
from cdipipe.optics import fourier


@pytest.fixture
def objects():
    return torch.randn(3, 16, 16, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))


def test_distance_is_blind_to_phase_and_twin(objects):
    turned = objects * torch.exp(torch.tensor(1.3j))
    assert float(losses.object_distance(turned, objects, twins=False)) == pytest.approx(0, abs=1e-5)
    assert float(losses.object_distance(twin(turned, 2), objects)) == pytest.approx(0, abs=1e-5)
    assert float(losses.object_distance(twin(turned, 2), objects, twins=False)) > 0.5


def test_distance_is_the_least_squared_difference(objects):
    other = objects + 0.3 * objects.roll(1, 0)
    angles = torch.exp(1j * torch.linspace(0, 2 * torch.pi, 2001))
    each = [
        ((t - angles[:, None, None] * u).abs().square().sum((1, 2)).min() / t.abs().square().sum())
        for t, u in zip(objects, other, strict=True)
    ]
    assert float(losses.object_distance(other, objects, twins=False)) == pytest.approx(float(sum(each) / 3), rel=1e-4)


def test_distance_has_a_gradient_at_zero(objects):
    start = torch.zeros_like(objects, requires_grad=True)
    losses.object_distance(start, objects).backward()
    assert bool(torch.isfinite(torch.view_as_real(start.grad)).all())


def test_r_factor(objects):
    modulus = fourier.forward(objects).abs()
    assert float(losses.fourier_r_factor(objects, modulus)) < 1e-5
    assert float(losses.fourier_r_factor(2 * objects, modulus)) == pytest.approx(1, rel=1e-4)
    measured = torch.ones(16, 16, dtype=torch.bool)
    measured[4:8] = False
    modulus = torch.where(measured, modulus, 100 * modulus)
    assert float(losses.fourier_r_factor(objects, modulus, measured)) < 1e-5
    assert float(losses.fourier_r_factor(objects, modulus)) > 0.5


def test_modulus_error_does_not_see_the_scale(objects):
    modulus = fourier.forward(objects).abs()
    assert float(losses.modulus_error(7 * objects, modulus)) < 1e-6
    assert float(losses.modulus_error(objects.roll(1, 0), modulus)) > 1e-3


def test_cross_entropy_is_least_at_the_target():
    target = torch.tensor([0.2, 0.5, 0.9])
    best = losses.cross_entropy(torch.logit(target), target)
    assert float(losses.cross_entropy(torch.logit(target) + 0.3, target)) > float(best)
