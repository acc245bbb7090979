"""Multi-frame PIE on simulated movies with known probe modes."""

import numpy as np
import pytest
import torch

from cdipipe.errors import InputError
from cdipipe.measurement import Measurement
from cdipipe.methods.mf_pie.sweep import _adjoint, _gradient, denoise
from cdipipe.metrics.evaluate import evaluate
from cdipipe.phasing.recipe import recipe_from_mapping
from cdipipe.phasing.reconstruct import reconstruct
from cdipipe.settings import validate
from cdipipe.simulation.exposure import simulate
from cdipipe.simulation.registry import get_scene


def movie_of(name, **settings):
    scene = get_scene(name)
    settings = {"size": 64, "frames": 4, "photons": 1e7, **settings}
    return simulate(scene, validate(scene.parameters, settings, name), 0)


CHART = {"spokes": 10, "start_offset": 0.1}  # at 64 pixels the default star has hardly a spoke in the field


@pytest.mark.parametrize(
    ("name", "more", "least"), [("test_chart", CHART, 0.75), ("particles", {"illumination": "probe"}, 0.9)]
)
def test_frames_resemble_the_truth_where_the_light_is(name, more, least):
    measurement, truth = movie_of(name, **more)
    result = reconstruct(measurement, recipe_from_mapping({"method": "mf_pie", "iterations": 60}))
    assert evaluate(result, measurement, truth).metrics["field_phase_correlation"] > least
    trace = result.error_trace.ravel()
    assert trace.min() < trace[0]
    power = (np.abs(measurement.probe_modes) ** 2).sum(0)
    assert np.all(result.object[:, power < 0.005 * power.max()] == 1)


def test_the_gradient_has_its_adjoint():
    generator = torch.Generator().manual_seed(0)
    movie = torch.view_as_complex(torch.randn((4, 5, 6, 2), generator=generator))
    dual = torch.view_as_complex(torch.randn((3, 4, 5, 6, 2), generator=generator))
    dual[0, -1] = 0
    left, right = (_gradient(movie).conj() * dual).sum(), (movie.conj() * _adjoint(dual)).sum()
    torch.testing.assert_close(left, right, rtol=1e-4, atol=1e-4)


def test_total_variation_flattens_noise_and_keeps_a_constant():
    generator = torch.Generator().manual_seed(0)
    noise = torch.view_as_complex(torch.randn((6, 16, 16, 2), generator=generator)) * 0.1
    smooth = denoise(1 + noise, 0.1, 0.1, 50)
    assert float((smooth - 1).abs().square().mean()) < 0.2 * float(noise.abs().square().mean())
    assert torch.allclose(denoise(torch.ones_like(noise), 0.1, 0.1, 5), torch.ones_like(noise))


def test_a_movie_without_probe_modes_is_refused():
    movie = Measurement(np.ones((2, 8, 8), np.float32), np.ones((8, 8), bool), "movie")
    with pytest.raises(InputError, match="mf_pie needs a measurement with probe modes"):
        reconstruct(movie, recipe_from_mapping({"method": "mf_pie"}))
