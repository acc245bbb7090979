"""Labels: what a pattern cannot tell is fixed by rules that do not change the pattern."""

import numpy as np
import pytest
import torch

from cdipipe.networks.losses import labels
from cdipipe.optics import fourier


def some_objects(ndim=2, size=24, count=5):
    """Lopsided objects with curved phases, off the middle."""
    rng = np.random.default_rng(4)
    axes = np.ogrid[tuple(slice(-(size // 2), size - size // 2) for _ in range(ndim))]
    objects = []
    for _ in range(count):
        radius2 = sum((x - rng.uniform(-2, 2)) ** 2 / rng.uniform(0.5, 2) for x in axes)
        tilt = sum(x * rng.uniform(-0.1, 0.1) for x in axes)
        shape = np.exp(-radius2 / 12) * (1 + 0.5 * np.tanh(tilt * 4))
        objects.append(np.where(shape > 0.05, shape * np.exp(1j * (0.05 * radius2 + tilt)), 0))
    return torch.from_numpy(np.stack(objects).astype(np.complex64))


def correlation(first, second):
    axes = tuple(range(1, first.ndim))
    norms = first.abs().square().sum(axes).sqrt() * second.abs().square().sum(axes).sqrt()
    return (first.conj() * second).sum(axes).abs() / norms


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("subpixel", [True, False])
def test_centred_objects_have_the_same_pattern(ndim, subpixel):
    objects = some_objects(ndim)
    centred = labels.centre_objects(objects, ndim, subpixel)
    torch.testing.assert_close(
        fourier.forward(centred, ndim).abs(), fourier.forward(objects, ndim).abs(), atol=1e-4, rtol=0
    )
    offsets = torch.stack(labels.centre_of_mass(centred.abs(), ndim))
    assert float(offsets.abs().max()) < (0.1 if subpixel else 0.51)


def test_centring_does_not_care_where_the_object_was():
    objects = some_objects()
    moved = torch.roll(objects, (3, -2), (1, 2))
    assert float(correlation(labels.centre_objects(objects, 2), labels.centre_objects(moved, 2)).min()) > 0.9999


RULES = [labels.choose_twins, labels.choose_twins_by_shape]


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("choose", RULES)
def test_both_twins_get_the_same_label(ndim, choose):
    objects = labels.centre_objects(some_objects(ndim), ndim)
    turned = labels.twin(objects, ndim) * torch.exp(torch.tensor(2.5j))
    torch.testing.assert_close(labels.twin(labels.twin(objects, ndim), ndim), objects)
    first, second = (choose(o, labels.supports_of(o, ndim), ndim) for o in (objects, turned))
    assert float(correlation(first, second).min()) > 0.999
    assert float(correlation(objects, turned).min()) < 0.97  # they were different


def test_odd_phases_leave_the_twin_to_the_shape():
    """The twin of a relaxed crystal keeps its phase, -phi(-x) = phi(x): only the shape tells which it is."""
    objects = labels.centre_objects(some_objects(3), 3)
    odd = torch.polar(objects.abs(), 0.01 * sum(x**3 for x in labels.coordinates(objects.shape[1:])).expand_as(objects))
    both = [odd, labels.twin(odd, 3)]
    first, second = (labels.choose_twins_by_shape(o, labels.supports_of(o, 3), 3) for o in both)
    torch.testing.assert_close(first, second, atol=1e-4, rtol=0)


def test_the_cube_has_48_symmetries_and_patterns_turn_with_their_objects():
    objects = some_objects(3, size=12, count=1)
    turned = [labels.turn_cube(objects, number) for number in range(48)]
    for i, first in enumerate(turned):
        assert not any(torch.equal(first, second) for second in turned[i + 1 :])
    intensity = fourier.forward(objects, 3).abs()
    for number in (0, 7, 13, 41):
        predicted = fourier.forward(labels.turn_cube(objects, number), 3).abs()
        torch.testing.assert_close(predicted, labels.turn_cube(intensity, number), atol=1e-4, rtol=0)


def test_a_centred_pattern_belongs_to_the_object_without_its_ramp():
    objects = some_objects(2)
    ramp = torch.exp(2j * torch.pi * 3 * torch.arange(-12, 12) / 24)
    objects = labels.centre_objects(objects, 2) * ramp
    intensity = fourier.forward(objects, 2).abs().square()
    flat, centred = labels.centre_patterns(objects, intensity, 2)
    torch.testing.assert_close(fourier.forward(flat, 2).abs().square(), centred, atol=1e-3, rtol=0)
    assert float(torch.stack(labels.centre_of_mass(centred, 2)).abs().max()) < 1
    assert float(torch.stack(labels.centre_of_mass(intensity, 2)).abs().max()) > 1.5
