"""HIO beside a known static region."""

import numpy as np
import pytest
import torch

from cdipipe.methods import hio_static
from cdipipe.metrics.evaluate import evaluate
from cdipipe.optics import fourier
from cdipipe.phasing.problem import Problem
from cdipipe.phasing.recipe import recipe_from_mapping
from cdipipe.phasing.reconstruct import reconstruct
from cdipipe.simulation.exposure import simulate
from cdipipe.simulation.registry import get_scene


def scene(seed=3, **settings):
    found = get_scene("static_region")
    return simulate(found, found.parameters(size=96, **settings), seed)


def psnr(measurement, truth, **settings):
    recipe = recipe_from_mapping({"method": "hio_static", "constraint": "real_nonneg", **settings})
    return evaluate(reconstruct(measurement, recipe, seed=1), measurement, truth).metrics["psnr_db"]


@pytest.mark.parametrize("per_pixel", [1.0, 1000.0])
def test_with_a_closing_block_it_is_the_linear_law(per_pixel):
    measurement, truth = scene(sample_photons_per_pixel=per_pixel)
    law = 10 * np.log10(2 * truth.extra["incident_photons_per_sample_pixel"])
    closed = psnr(measurement, truth)
    assert closed == pytest.approx(law, abs=0.8)  # one draw of 26 x 26 pixels scatters by 0.25
    assert psnr(measurement, truth, iterations=300, er_iterations=0) < closed - 5


def test_static_pixels_are_zero_in_every_iteration_and_the_true_sample_stays():
    measurement, truth = scene(photons=0, sample_photons_per_pixel=1000.0)
    problem = Problem(measurement, "support", (-1, 1))
    sample = fourier.to_corner(torch.from_numpy(truth.object.astype(np.complex64)), 2)[None]
    parameters = hio_static.HioStaticParameters(iterations=10, er_iterations=0)
    random = torch.randn(sample.shape, dtype=torch.complex64, generator=torch.Generator().manual_seed(0)) * 100
    moved, _, _ = hio_static.update(random, problem, problem.object_support[None], parameters, 0)
    outside = ~problem.object_support & ~problem.static_support
    assert not moved[0, problem.static_support].any() and moved[0, outside].abs().min() > 0
    kept, _, _ = hio_static.update(sample.clone(), problem, problem.object_support[None], parameters, 0)
    assert float((kept - sample).abs().max()) < 2e-3 * float(sample.abs().max())


def test_the_whole_recipe_is_printed(tmp_path, cli):
    made = ("-o", tmp_path / "m.cxi", "--truth", tmp_path / "t.cxi", "--set", "size=64")
    assert cli("simulate", "static_region", *made).code == 0
    recipe = ("--set", "iterations=30", "--set", "er_iterations=5", "--set", "average_best=2", "--restarts", "3")
    done = cli("reconstruct", tmp_path / "m.cxi", "-m", "hio_static", "-o", tmp_path / "r.cxi", *recipe)
    assert "25 HIO (beta 0.9) + 5 ER; support; mean of best 2 of 3 starts, of last 1 iterates" in done.out
    assert "er_iterations" in cli("info", tmp_path / "r.cxi").out


def test_bad_input_is_named(tmp_path, cli):
    def refuse(*arguments):
        return cli("reconstruct", *arguments, "-o", tmp_path / "r.cxi", "-m", "hio_static").complaint

    plain, beside = tmp_path / "plain.cxi", tmp_path / "beside.cxi"
    cli("simulate", "polygons", "-o", plain, "--truth", tmp_path / "t.cxi", "--set", "size=64")
    cli("simulate", "static_region", "-o", beside, "--truth", tmp_path / "t.cxi", "--set", "size=64")
    assert "needs a measurement with static region" in refuse(plain)
    masks = {"empty": np.zeros((64, 64), bool), "full": np.ones((64, 64), bool), "half": np.ones((64, 64), bool)}
    masks["half"][:32] = False
    for name, mask in masks.items():
        np.save(tmp_path / f"{name}.npy", mask)
    assert "the support is empty" in refuse(beside, "--support", tmp_path / "empty.npy")
    assert "the support is the whole array" in refuse(beside, "--support", tmp_path / "full.npy")
    assert "overlaps the static region" in refuse(beside, "--support", tmp_path / "half.npy")
    assert "er_iterations 9 is more than iterations 5" in refuse(
        beside, "--set", "iterations=5", "--set", "er_iterations=9"
    )
    assert not (tmp_path / "r.cxi").exists()


def test_a_negative_ratio_and_counts_of_zero_are_named(tmp_path, cli):
    from dataclasses import replace

    from cdipipe.io.cxi import read_measurement, write_measurement

    made = ("-o", tmp_path / "m.cxi", "--truth", tmp_path / "t.cxi", "--set", "size=64")
    assert "amplitude_ratio" in cli("simulate", "static_region", *made, "--set", "amplitude_ratio=-0.1").complaint
    assert cli("simulate", "static_region", *made).code == 0
    measurement = read_measurement(tmp_path / "m.cxi")
    write_measurement(tmp_path / "zero.cxi", replace(measurement, intensity=0 * measurement.intensity))
    for method in ("hio_static", "reference_lsq"):
        asked = cli("reconstruct", tmp_path / "zero.cxi", "-m", method, "-o", tmp_path / "r.cxi")
        assert "no photons" in asked.complaint
