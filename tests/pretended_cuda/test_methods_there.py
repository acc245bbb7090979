"""Every method on the pretended device: what it finds on a CPU, in a fixed order of sums."""

import numpy as np
import pytest
import small_runs
import test_contract
import torch
from pretended import CUDA, pretend
from test_contract import *  # noqa: F403  the contract of all methods, run here once more

from cdipipe.optics import fourier
from cdipipe.phasing import reconstruct as reconstruct_module
from cdipipe.phasing.loop import State, Watch, run_recipe
from cdipipe.phasing.problem import Problem
from cdipipe.phasing.registry import all_methods, get_method
from cdipipe.phasing.starts import Start

pytestmark = pytest.mark.pretended
NAMES = list(all_methods())
FIRST_STEPS_ARE_SIGNS = ("dip",)
"""Adam makes a whole step of a gradient that is nothing but rounding: only what is before the first one compares."""

for name in ("test_noise_free_truth_is_a_fixed_point", "test_restarts_give_the_same_bits_on_one_and_two_threads"):
    del globals()[name]  # they choose their device themselves


@pytest.fixture(autouse=True)
def everything_there(request, monkeypatch):
    """``reconstruct`` computes on the pretended device unless it is told otherwise; other tests begin on the CPU."""
    if not hasattr(test_contract, request.function.__name__):
        yield
        return
    monkeypatch.setitem(reconstruct_module.reconstruct.__kwdefaults__, "device", "cuda")
    with pretend():
        yield


@pytest.mark.parametrize("name", NAMES)
def test_finds_what_it_finds_on_a_cpu(name, folder, gpu):
    there = small_runs.run(name, folder, extra={"device": "cuda"})
    assert not gpu.unordered
    here = small_runs.run(name, folder)
    if name in FIRST_STEPS_ARE_SIGNS:
        np.testing.assert_allclose(there.error_trace[..., 0], here.error_trace[..., 0], rtol=1e-5)
        return
    np.testing.assert_allclose(there.object, here.object, atol=2e-4 * np.abs(here.object).max())
    np.testing.assert_allclose(there.error_trace, here.error_trace, rtol=1e-3)
    assert np.array_equal(there.support, here.support)


@pytest.mark.parametrize("name", [n for n in NAMES if get_method(n).on("single").honours("restarts")][:4])
def test_without_own_kernels(name, folder):
    with pretend(kernels=False):
        there = small_runs.run(name, folder, restarts=2, extra={"device": "cuda"})
    assert np.isfinite(there.object).all()


@pytest.mark.parametrize("name", test_contract.ITERATIVE)
def test_noise_free_truth_stays(name, gpu):
    object_, support = test_contract.make_object((48, 48))
    intensity = fourier.forward(torch.from_numpy(object_)).abs().square().numpy()
    measurement = test_contract.Measurement(intensity, np.ones(intensity.shape, bool), "single")
    fixed = test_contract.recipe(name, shrink_wrap={"every": 0})
    problem = Problem(measurement, "support", (-1, 1), CUDA)
    corner = fourier.to_corner(torch.from_numpy(object_))[None].contiguous().to(CUDA)
    inside = fourier.to_corner(torch.from_numpy(support))[None].contiguous().to(CUDA)
    trace = torch.full((1, 10), torch.nan, device=CUDA)
    estimate, _ = run_recipe(State(corner.clone(), inside, trace), problem, fixed, Watch())
    assert float((estimate - corner).abs().max() / corner.abs().max()) < 2e-5


def test_cdip_of_a_movie(gpu):
    recipe = test_contract.recipe_from_mapping(
        {"method": "cdip", "iterations": 4, "hidden": 8, "movie": {"channels": 4}}
    )
    measurement = small_runs.measurement("probe movie")
    there = reconstruct_module.reconstruct(measurement, recipe, seed=1, device="cuda")
    assert not gpu.unordered
    here = reconstruct_module.reconstruct(measurement, recipe, seed=1, device="cpu")
    np.testing.assert_allclose(there.object, here.object, atol=1e-3 * np.abs(here.object).max())


MORE = {
    "a learned denoiser": ("reference_lsq", "static", {"denoiser": "mean"}),
    "a static region with a prior": ("static_estimate", "open static", {"prior": "learned", "iterations": 4}),
    "several views of a pattern": ("cdi_nn", "shots", {"views": 4}),
    "frames in one go": ("hio", "static movie", {}),
}


@pytest.mark.parametrize("what", MORE)
def test_what_defaults_would_use(what, folder, gpu):
    name, kind, options = MORE[what]
    there, here = (small_runs.run(name, folder, kind, extra={"device": d}, **options) for d in ("cuda", "cpu"))
    np.testing.assert_allclose(there.object, here.object, atol=1e-3 * np.abs(here.object).max())
    assert not gpu.unordered


def test_a_movie_from_a_given_object(folder, gpu):
    movie = small_runs.measurement("static movie")
    begun = Start(small_runs.run("in_situ", folder).object)
    there, here = (
        small_runs.run("in_situ", folder, extra={"device": device, "start": begun}) for device in ("cuda", "cpu")
    )
    assert there.object.shape == movie.intensity.shape
    np.testing.assert_allclose(there.object, here.object, atol=1e-3 * np.abs(here.object).max())
