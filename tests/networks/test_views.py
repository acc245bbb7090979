"""Views: symmetries that keep patterns and objects together, and a mean that is better than one view."""

import torch

from cdipipe.networks.losses.labels import twin
from cdipipe.networks.views import predict_views, turn, turn_back
from cdipipe.optics import fourier


def some_objects(count=3):
    generator = torch.Generator().manual_seed(2)
    return torch.randn(count, 16, 16, dtype=torch.complex64, generator=generator)


def test_turns_are_undone_and_patterns_turn_with_their_objects():
    objects = some_objects()
    turned = [turn(objects, number) for number in range(8)]
    for number, item in enumerate(turned):
        assert torch.equal(turn_back(item, number), objects)
        pattern = turn(fourier.forward(objects).abs(), number)
        torch.testing.assert_close(fourier.forward(item).abs(), pattern, atol=1e-5, rtol=0)
        assert not any(torch.equal(item, other) for other in turned[:number])


def test_the_48_symmetries_of_cubes_are_undone():
    cubes = torch.randn(1, 6, 6, 6, generator=torch.Generator().manual_seed(1))
    turned = [turn(cubes, number) for number in range(48)]
    assert len({tuple(item.flatten().tolist()) for item in turned}) == 48
    assert all(torch.equal(turn_back(item, number), cubes) for number, item in enumerate(turned))


def test_the_mean_of_views_is_closer_whatever_twin_and_phase_each_has():
    objects = some_objects()
    calls = []

    def noisy(patterns):
        """The objects of patterns that are turned, with errors, other phases, and now and then as the twin."""
        calls.append(patterns)
        found = []
        for number in range(len(patterns) // len(objects)):
            generator = torch.Generator().manual_seed(number)
            one = turn(objects, number) + torch.randn(objects.shape, dtype=torch.complex64, generator=generator)
            one = one * torch.exp(torch.tensor(1j * number))
            found.append(twin(one, 2) if number % 3 == 1 else one)
        return torch.cat(found)

    def error(found):
        norms = objects.abs().square().sum((1, 2)).sqrt() * found.abs().square().sum((1, 2)).sqrt()
        return float((1 - (objects.conj() * found).sum((1, 2)).abs() / norms).mean())

    patterns = fourier.forward(objects).abs().square()
    one = predict_views(noisy, patterns, 1)
    calls.clear()
    eight = predict_views(noisy, patterns, 8)
    assert len(calls) == 1 and torch.equal(calls[0].split(len(patterns))[5], turn(patterns, 5))
    assert error(eight) < 0.4 * error(one)
