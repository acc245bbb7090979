"""A known static region is part of the forward model: the object is the sample alone, in its place."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from cdipipe.errors import InputError
from cdipipe.metrics.evaluate import evaluate
from cdipipe.optics import fourier
from cdipipe.optics.forward import ForwardModel
from cdipipe.phasing.problem import Problem
from cdipipe.phasing.recipe import recipe_from_mapping
from cdipipe.phasing.reconstruct import Start, reconstruct
from cdipipe.simulation.exposure import simulate
from cdipipe.simulation.registry import get_scene


def scene(**settings):
    found = get_scene("static_region")
    return simulate(found, found.parameters(**{"size": 96, "sample_photons_per_pixel": 1000.0, **settings}), seed=3)


ER = {"sequence": "100*HIO+100*ER", "constraint": "real_nonneg"}


def test_prediction_is_of_both_together_with_and_without_probe_modes():
    generator = torch.Generator().manual_seed(0)
    object_, static = torch.randn(2, 12, 12, generator=generator, dtype=torch.complex64)
    modes = torch.randn(3, 12, 12, generator=generator, dtype=torch.complex64)
    for probes in (None, modes):
        model = ForwardModel(2, probe_modes=probes, static_region=static)
        alone = ForwardModel(2, probe_modes=probes)
        together = alone.predict_intensity(object_ + static)
        assert torch.allclose(model.predict_intensity(object_), together, rtol=1e-3, atol=1e-3)
        centred = model.predict_centred(fourier.to_centre(object_))
        assert torch.equal(fourier.to_corner(centred), model.predict_intensity(object_))
        back = ForwardModel.from_dict(model.to_dict())
        assert torch.equal(back.static_region, static) and back.freedom == "none"


def test_modulus_projection_leaves_the_true_sample_alone():
    measurement, truth = scene(photons=0)
    problem = Problem(measurement, "support", (-1, 1))
    sample = fourier.to_corner(torch.from_numpy(truth.object.astype(np.complex64)), 2)[None]
    projected, r_factor = problem.impose_modulus(sample.clone())
    assert float((projected - sample).abs().max() / sample.abs().max()) < 1e-3 and float(r_factor) < 1e-6


def test_the_sample_comes_out_in_its_place_without_alignment():
    measurement, truth = scene()
    result = reconstruct(measurement, recipe_from_mapping(ER), seed=1)
    found = evaluate(result, measurement, truth).metrics
    incident = truth.extra["incident_photons_per_sample_pixel"]
    assert found["psnr_db"] == pytest.approx(10 * np.log10(2 * incident), abs=0.6)
    moved = replace(result, object=np.roll(result.object, 1, 0))
    assert evaluate(moved, measurement, truth).metrics["psnr_db"] < found["psnr_db"] - 5
    assert not result.object[measurement.static_support].any()


def test_ignored_it_becomes_part_of_the_object():
    measurement, truth = scene()
    whole = truth.object + measurement.static_region
    recipe = recipe_from_mapping({**ER, "sequence": "30*ER", "use_static_region": False})
    result = reconstruct(measurement, recipe, start=Start(whole.astype(np.complex64)))
    assert "static_region" not in result.forward and result.object[measurement.static_support].any()
    assert evaluate(result, measurement, truth).metrics["psnr_db"] > 30


def test_each_shot_has_its_own_static_region():
    measurement, truth = scene(count=2, size=64)
    result = reconstruct(measurement, recipe_from_mapping(ER), seed=1)
    assert evaluate(result, measurement, truth).metrics["psnr_db"] > 30


def test_the_support_must_be_known_and_apart():
    measurement, _ = scene(support_area=0.0)
    recipe = recipe_from_mapping(ER)
    with pytest.raises(InputError, match="--support"):
        reconstruct(measurement, recipe)
    with pytest.raises(InputError, match="overlaps the static region"):
        reconstruct(measurement, recipe, start=Start(support=measurement.static_support))
    with pytest.raises(InputError, match="overlaps the object's support"):
        replace(measurement, object_support=measurement.static_support)


def test_a_loose_support_spares_the_static_structure():
    exact, _ = scene()
    loose, _ = scene(support_area=4.0)
    assert loose.object_support.sum() > 3 * exact.object_support.sum()
    assert not (loose.object_support & loose.static_support).any()
