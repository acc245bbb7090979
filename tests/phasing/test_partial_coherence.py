"""Partial coherence and background in the forward model, known or fitted while phasing."""

import numpy as np
import pytest
import torch
from objects import make_object

from cdipipe.errors import InputError
from cdipipe.io.cxi import read_reconstruction, write_reconstruction
from cdipipe.measurement import Measurement
from cdipipe.metrics.align import align_to
from cdipipe.metrics.evaluate import evaluate
from cdipipe.optics import fourier
from cdipipe.optics.coherence import blur_by_coherence
from cdipipe.optics.forward import ForwardModel
from cdipipe.phasing.problem import Problem
from cdipipe.phasing.recipe import recipe_from_mapping
from cdipipe.phasing.reconstruct import Start, reconstruct
from cdipipe.settings import validate
from cdipipe.simulation.exposure import simulate
from cdipipe.simulation.registry import get_scene

WIDTH_PX = 12.0
POLYGON_WIDTH_PX = 20.0


def blurred(shape=(64, 64), photons=1e7, background=0.0, seed=None, **extra):
    """Measurement of an object under partially coherent light, the object and its support."""
    object_, support = make_object(shape, photons=photons)
    ndim = len(shape)
    intensity = fourier.forward(torch.from_numpy(object_), ndim).abs().square().numpy()
    intensity = blur_by_coherence(intensity, WIDTH_PX) + background
    if seed is not None:
        intensity = np.random.default_rng(seed).poisson(intensity)
    stack = "single" if ndim == 2 else "volume"
    return Measurement(intensity.astype(np.float32), np.ones(shape, bool), stack, **extra), object_, support


def corner(array, ndim=2):
    return fourier.to_corner(torch.from_numpy(array), ndim)[None].contiguous()


@pytest.mark.parametrize("shape", [(48, 45), (16, 18, 20)], ids=str)
def test_the_prediction_is_that_of_the_simulation(shape):
    measurement, object_, _ = blurred(shape, background=3.0)
    model = ForwardModel(len(shape), coherence_px=WIDTH_PX, background=3.0)
    wanted = torch.from_numpy(measurement.intensity)
    torch.testing.assert_close(model.predict_centred(torch.from_numpy(object_)), wanted, rtol=1e-3, atol=0.2)


@pytest.mark.parametrize("background", [0.0, 3.0, "array"])
def test_the_true_object_is_a_fixed_point(background):
    if background == "array":
        background = np.random.default_rng(0).random((64, 64)).astype(np.float32) * 5
    measurement, object_, _ = blurred(background=background)
    given = torch.from_numpy(background) if isinstance(background, np.ndarray) else background
    problem = Problem(measurement, "support", (-1, 1), coherence_px=WIDTH_PX, background=given)
    projected, r_factor = problem.impose_modulus(corner(object_))
    assert float(r_factor) < 1e-4
    assert float((projected - corner(object_)).norm() / corner(object_).norm()) < 1e-3
    ideal = Problem(measurement, "support", (-1, 1))
    assert float(ideal.impose_modulus(corner(object_))[1]) > 0.02


def test_a_projection_keeps_unmeasured_pixels_and_the_phases():
    measurement, _, _ = blurred(seed=1)
    measured = np.random.default_rng(2).random((64, 64)) > 0.2
    problem = Problem(Measurement(measurement.intensity, measured), "support", (-1, 1), coherence_px=WIDTH_PX)
    generator = torch.Generator().manual_seed(0)
    wave = torch.view_as_complex(torch.randn((2, 64, 64, 2), generator=generator)) * 50
    before, after = problem.model.wavefront(wave), problem.model.wavefront(problem.impose_modulus(wave)[0])
    open_ = ~problem.measured
    torch.testing.assert_close(after[:, open_], before[:, open_], rtol=1e-4, atol=1e-2)
    ratio = after / before
    assert float(ratio.imag.abs().max()) < 1e-3 * float(ratio.real.abs().max())


def test_the_width_of_the_truth_is_found():
    measurement, object_, _ = blurred(seed=1)
    for start in (4.0, 60.0):
        problem = Problem(measurement, "support", (-1, 1), coherence_px=start)
        problem = problem.with_coherence(torch.full((2,), start))
        for _ in range(4):
            problem.fit_coherence(corner(object_).repeat(2, 1, 1))
        assert problem.coherence_px.tolist() == pytest.approx([WIDTH_PX] * 2, rel=0.03)


@pytest.fixture(scope="module")
def fitted():
    scene = get_scene("polygons")
    settings = {"size": 96, "photons": 1e7, "phase_range_rad": 1.0, "detector": {"coherence_px": POLYGON_WIDTH_PX}}
    measurement, truth = simulate(scene, validate(scene.parameters, settings, "polygons"), 3)
    steps = [{"hio": {"iterations": 240}}, {"er": {"iterations": 60}}, {"ad_refine": {"loss": "poisson"}}]
    mapping = {"steps": steps, "restarts": 3}
    plain = reconstruct(measurement, recipe_from_mapping(mapping), seed=1)
    own = reconstruct(measurement, recipe_from_mapping({**mapping, "coherence": {"fit": True}}), seed=1)
    return measurement, truth.object, plain, own


def test_fitting_while_phasing_finds_width_and_a_better_object(fitted):
    _, object_, plain, own = fitted
    assert own.forward["coherence_px"] == pytest.approx(POLYGON_WIDTH_PX, rel=0.1)
    errors = [1 - align_to(object_, result.object).correlation for result in (plain, own)]
    assert errors[1] < 0.5 * errors[0] and errors[1] < 0.02
    assert own.run_scores["r_factor"][0] < 0.7 * plain.run_scores["r_factor"][0]


def test_evaluate_uses_the_width_that_was_stored(fitted, tmp_path):
    measurement, _, _, own = fitted
    write_reconstruction(tmp_path / "R.cxi", own)
    again = read_reconstruction(tmp_path / "R.cxi")
    assert again.forward["coherence_px"] == own.forward["coherence_px"]
    metrics = evaluate(again, measurement).metrics
    assert metrics["r_factor"] == pytest.approx(own.run_scores["r_factor"][0], rel=1e-3)


def test_every_shot_of_a_stack_has_its_own_width(tmp_path):
    measurement, object_, support = blurred()
    coherent = fourier.forward(torch.from_numpy(object_)).abs().square().numpy()
    widths = (8.0, 16.0)
    shots = np.stack([blur_by_coherence(coherent, width) for width in widths]).astype(np.float32)
    stack = Measurement(shots, measurement.measured, "shots")
    fit = {"coherence": {"fit": True, "every": 2, "start": 2}, "shrink_wrap": {"every": 0}}
    recipe = recipe_from_mapping({"method": "er", "iterations": 20, **fit})
    result = reconstruct(stack, recipe, start=Start(object_, support))
    assert result.forward["coherence_px"] == pytest.approx(widths, rel=0.05)
    write_reconstruction(tmp_path / "R.cxi", result)
    assert evaluate(read_reconstruction(tmp_path / "R.cxi"), stack).metrics["r_factor"] < 0.02


@pytest.mark.parametrize("name", ["er", "hio", "raar", "dm", "poisson_ml", "ad_refine"])
def test_every_iterative_method_takes_light_as_it_is(name):
    measurement, object_, support = blurred(seed=1, background=2.0)
    light = {"coherence": {"width_px": WIDTH_PX}, "background": {"photons": 2.0}, "shrink_wrap": {"every": 0}}
    start = Start(object_, support)
    plain, right = (
        reconstruct(measurement, recipe_from_mapping({"method": name, "iterations": 30, **more}), start=start)
        for more in ({"shrink_wrap": {"every": 0}}, light)
    )
    assert right.run_scores["poisson_nll"][0] < 0.5 * plain.run_scores["poisson_nll"][0]
    assert right.forward == {"kind": "far_field", "ndim": 2, "coherence_px": WIDTH_PX, "background": 2.0}


def test_guided_works_on_the_cropped_pattern_with_width_and_background():
    measurement, object_, _ = blurred((96, 96), seed=1, background=1.0)
    light = {"coherence": {"width_px": WIDTH_PX}, "background": {"photons": 1.0}}
    small = {"starts": 4, "populations": 1, "iterations": 100, "generations": 1, "generation_iterations": 50}
    result = reconstruct(measurement, recipe_from_mapping({"method": "guided", **small, **light}), seed=1)
    assert align_to(object_, result.object).correlation > 0.96


def test_methods_that_know_only_coherent_light_say_so():
    with pytest.raises(InputError, match=r"background: gps does not take it; these do: .*hio"):
        recipe_from_mapping({"method": "gps", "background": {"photons": 1}})
    with pytest.raises(InputError, match=r"coherence\.fit: guided does not take it; these do: ad_refine, cdip, dm"):
        recipe_from_mapping({"method": "guided", "coherence": {"fit": True}})
