"""Learning rates at the moments that matter, and the two halves of ASAM."""

import pytest
import torch

from cdipipe.networks.training_settings import TrainingSettings
from cdipipe.training import optimisers


def rate(epoch, epochs=10, **settings):
    return optimisers.learning_rate(TrainingSettings(learning_rate=1.0, **settings), epoch, epochs)


def test_constant_and_step():
    assert rate(9.9) == 1
    drops = {"schedule": "step", "step_epochs": (500,), "step_factor": 0.1}
    assert rate(499.9, 600, **drops) == 1 and rate(500, 600, **drops) == pytest.approx(0.1)


def test_cosine_with_warm_up():
    cosine = {"schedule": "cosine", "warmup_epochs": 2.0, "least_learning_rate": 0.01}
    assert rate(0, **cosine) == pytest.approx(1e-3) and rate(1, **cosine) == pytest.approx(0.5)
    assert rate(2, **cosine) == pytest.approx(1) and rate(6, **cosine) == pytest.approx(0.505)
    assert rate(10, **cosine) == pytest.approx(0.01)


def test_warm_restarts_double():
    """DPR's cycles: 40, 80, 160 and 320 epochs with one of warm-up."""
    cycles = {"schedule": "warm_restarts", "cycle_epochs": 40, "cycle_factor": 2, "warmup_epochs": 1}
    for start in (0, 40, 120, 280):
        assert rate(start, 600, **cycles) < 0.01 and rate(start + 1, 600, **cycles) == pytest.approx(1)
    for end in (40, 120, 280, 600):
        assert rate(end - 1e-3, 600, **cycles) < 1e-4


def test_asam_climbs_by_the_scaled_gradient_and_comes_back():
    module = torch.nn.Linear(2, 1)
    with torch.no_grad():
        module.weight.copy_(torch.tensor([[2.0, -1.0]]))
        module.bias.zero_()
    module(torch.tensor([[1.0, 3.0]])).sum().backward()  # gradients (1, 3) and 1
    named = list(module.named_parameters())
    before = optimisers.climb(named, rho=0.5, eta=0.0)
    # T g = (2 * 1, 1 * 3) and 1; its norm is sqrt(4 + 9 + 1)
    norm = 14**0.5
    torch.testing.assert_close(module.weight.data, torch.tensor([[2 + 0.5 * 4 / norm, -1 + 0.5 * 3 / norm]]))
    torch.testing.assert_close(module.bias.data, torch.tensor([0.5 / norm]))
    optimisers.descend(before)
    torch.testing.assert_close(module.weight.data, torch.tensor([[2.0, -1.0]]))
    assert module.weight.grad is not None


def test_statistics_are_frozen_in_the_second_pass():
    norm = torch.nn.BatchNorm2d(3)
    with optimisers.frozen_statistics(norm):
        norm(torch.rand(4, 3, 5, 5) + 7)
    assert torch.equal(norm.running_mean, torch.zeros(3)) and norm.momentum == 0.1
