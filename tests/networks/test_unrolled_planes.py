"""`unrolled` on complex objects in planes: what it costs an object to be chosen, its search, and what it refuses."""

import numpy as np
import pytest
import torch
from scipy.stats import poisson

from cdipipe.errors import InputError
from cdipipe.metrics.align import align_to
from cdipipe.networks import unrolled
from cdipipe.networks.unrolled import planes
from cdipipe.networks.unrolled.physics import Modulus
from cdipipe.networks.unrolled.planes import Found, descend, deviance, entropy, search, unexplained
from cdipipe.networks.unrolled.settings import UnrolledParameters, UnrolledSettings
from cdipipe.optics.grid import central_slices
from cdipipe.phasing.recipe import recipe_from_mapping
from cdipipe.phasing.reconstruct import reconstruct
from cdipipe.settings import validate
from cdipipe.simulation.exposure import simulate
from cdipipe.simulation.registry import get_scene

SMALL = {"real": False, "size": 32, "box_px": 16, "steps": 3, "start_iterations": 20, "iterations": 8, "widths": [4, 6]}


def polygons(photons=1e4, size=32, seed=5, count=3, **more):
    scene = get_scene("polygons")
    chosen = scene.parameters(size=size, count=count, photons=photons, **{"object_size": 12, **more})
    return simulate(scene, chosen, seed=seed)


def in_box(measurement, truth, box=16):
    """Counts, what is measured, and the true objects in their box with the photons of the counts."""
    counts = torch.from_numpy(measurement.intensity).float()
    measured = torch.from_numpy(np.broadcast_to(measurement.measured, counts.shape).copy())
    modulus = Modulus(counts, measured, (box, box), real=False)
    objects = torch.from_numpy(truth.object)[(..., *central_slices(counts.shape[1:], (box, box)))].to(torch.complex64)
    return counts, measured, modulus, objects * modulus.scale_of(objects)


def test_misfit_is_the_poisson_likelihood_of_what_is_measured():
    _, measured, modulus, objects = in_box(*polygons(beamstop_px=2.0))
    counts = modulus.modulus.square().round().double()
    predicted = modulus.forward(objects).abs().square().double()
    best, found = (
        poisson.logpmf(counts.numpy(), np.maximum(rate, 1e-2)) for rate in (counts.numpy(), predicted.numpy())
    )
    expected = ((best - found) * modulus.known.numpy()).sum((1, 2))
    np.testing.assert_allclose(deviance(modulus, objects).numpy(), expected, rtol=0.05)  # a floor of 0.01 photons
    assert not measured.all()


def test_doubt_is_the_entropy_of_the_support():
    logits = torch.tensor([[[0.0, 0.0], [-50.0, 50.0]], [[2.0, -2.0], [50.0, 50.0]]])
    chance = 1 / (1 + np.exp(-2.0))
    one = -chance * np.log(chance) - (1 - chance) * np.log(1 - chance)
    np.testing.assert_allclose(entropy(logits).numpy(), [2 * np.log(2), 2 * one], rtol=1e-5)


def test_the_cheapest_of_each_pattern_come_first():
    cost = torch.tensor([[3.0, 1.0, 2.0], [5.0, 6.0, 4.0]])
    objects = cost[..., None, None].to(torch.complex64)
    found = Found(objects, objects.real > 2, objects.real > 4, cost).best(2)
    assert found.cost.tolist() == [[1, 2], [4, 5]] and torch.equal(found.objects.real[..., 0, 0], found.cost)
    assert found.inside[..., 0, 0].tolist() == [[False, False], [True, True]]
    assert found.told[..., 0, 0].tolist() == [[False, False], [False, True]]


def test_the_descent_takes_out_noise():
    _, _, modulus, truth = in_box(*polygons(photons=3e3, phase_range_rad=2.0))
    inside = truth.abs() > 0
    generator = torch.Generator().manual_seed(1)
    unit = truth.abs().amax((1, 2), keepdim=True)
    noisy = torch.where(
        inside, truth + 0.3 * unit * torch.randn(truth.shape, generator=generator, dtype=truth.dtype), 0
    )
    found = descend(modulus, noisy, inside, 30)
    assert (deviance(modulus, found) < 0.5 * deviance(modulus, noisy)).all() and not found[~inside].any()
    errors = [(each - truth).abs().square().sum((1, 2)) for each in (found, noisy)]
    assert (errors[0] < 0.6 * errors[1]).all()


def test_more_search_never_costs_more_and_patterns_do_not_see_each_other():
    chosen = validate(
        UnrolledSettings, {"network": {**SMALL, "first_support": "autocorrelation", "corrects": False}}, "t"
    )
    with torch.random.fork_rng():
        torch.manual_seed(2)
        module = unrolled.build(chosen.network).eval()
        torch.nn.init.normal_(module.look.last.weight, 0, 0.1)
    counts, measured, modulus, _ = in_box(*polygons(phase_range_rad=4.0))

    def found(items=slice(None), **how):
        used = UnrolledParameters(**{"starts": 3, "second_starts": 2, **how}).filled(chosen.network)
        with torch.inference_mode():
            return search(module, *[(counts[items], measured[items])] * 2, used)

    def cost(objects, inside):
        logits = module.logits_of(modulus, objects, inside)
        return deviance(modulus, objects) + 0.5 * inside.sum((1, 2)) + entropy(logits)

    plain, bred = (cost(*found(children=children, refine=0)) for children in (0, 3))
    assert (bred <= plain + 1e-3).all() and (bred < plain - 1e-3).any()
    objects, inside = found()
    assert not objects[~inside].any() and objects.flatten(1).any(1).all()
    alone, _ = found(slice(1, 2))
    torch.testing.assert_close(alone[0], objects[1], rtol=0, atol=0.02 * float(objects[1].abs().max()))


def test_patterns_that_one_search_leaves_unexplained_are_searched_again(monkeypatch):
    chosen = validate(
        UnrolledSettings, {"network": SMALL | {"first_support": "autocorrelation", "corrects": False}}, "t"
    )
    with torch.random.fork_rng():
        torch.manual_seed(2)
        module = unrolled.build(chosen.network).eval()
    counts, measured, modulus, truth = in_box(*polygons(phase_range_rad=4.0))
    assert (unexplained(modulus, truth) - 1).abs().max() < 0.15
    used = UnrolledParameters(starts=1, second_starts=1, children=0, refine=0).filled(chosen.network)
    searched = []
    run = planes.Search.run
    monkeypatch.setattr(planes.Search, "run", lambda self: searched.append(self.patterns) or run(self))
    with torch.inference_mode():
        monkeypatch.setattr(planes, "ROUNDS", 1)
        once, _ = search(module, *[(counts, measured)] * 2, used)
        left = unexplained(modulus, once)
        monkeypatch.setattr(planes, "ROUNDS", 2)
        monkeypatch.setattr(planes, "UNSOLVED", float(left.sort().values[1:].mean()))
        twice, _ = search(module, *[(counts, measured)] * 2, used)
    worst = left == left.max()
    assert searched == [3, 3, 1] and torch.equal(twice[~worst], once[~worst])
    assert unexplained(modulus, twice)[worst] < 1.1 * left.max()


def phase(measurement, **more):
    return reconstruct(measurement, recipe_from_mapping({"method": "unrolled", "objects": "complex", **more}))


QUICK = {"starts": 1, "screen_steps": 1, "step_count": 1, "second_starts": 0, "children": 0, "refine": 0}


@pytest.mark.parametrize("object_size, photons", [(64, 1e6), (84, 1e4), (52, 1e7)])
def test_objects_larger_than_the_box_are_refused(object_size, photons):
    measurement, _ = polygons(photons, size=128, object_size=object_size, phase_range_rad=4.0, seed=31)
    with pytest.raises(
        InputError, match=r"the object of pattern \d of 3 is larger than the 40 pixels that the network"
    ):
        phase(measurement, **QUICK)


@pytest.mark.parametrize("more", [{}, {"beamstop_px": 4.0}, {"detector": {"read_noise_photons": 1.0}}])
def test_objects_that_fit_are_not(more):
    for photons in (1e4, 1e7):
        measurement, _ = polygons(photons, size=128, object_size=36, phase_range_rad=4.0, seed=32, **more)
        assert phase(measurement, **QUICK).object.any()


def test_smaller_patterns_are_refused():
    with pytest.raises(InputError, match="patterns of 32 x 32; the network of the package takes 80 x 80 or more"):
        phase(polygons()[0])


def test_a_larger_masked_pattern_is_phased_as_it_is():
    measurement, truth = polygons(1e6, size=144, object_size=30, beamstop_px=2.0, phase_range_rad=1.0, count=1)
    result = phase(measurement)
    assert result.object.shape == truth.object.shape
    assert (
        align_to(truth.object[0] if truth.object.ndim == 3 else truth.object, np.squeeze(result.object)).correlation
        > 0.98
    )
