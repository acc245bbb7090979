"""The static region is unknown: estimated first, then taken as known."""

import numpy as np
import pytest
import torch

from cdipipe.errors import InputError
from cdipipe.io.cxi import read_reconstruction
from cdipipe.methods.driver.reconstruct import reconstruct
from cdipipe.methods.recipe import recipe_from_mapping
from cdipipe.methods.static_parts.estimate import turn_in_box
from cdipipe.metrics.evaluate import evaluate
from cdipipe.optics import fourier
from cdipipe.simulate.exposure import simulate
from cdipipe.simulate.registry import get_scene

PLAIN = {"reference_lsq": {"denoiser": "none"}}
ESTIMATE = {"static_estimate": {"iterations": 300, "tries": 4}}


def scene(known, **settings):
    found = get_scene("static_region")
    settings = {"size": 128, "sample_photons_per_pixel": 1.0, **settings}
    return simulate(found, found.parameters(static_known=known, **settings), seed=2)


def solve(measurement, *steps):
    return reconstruct(measurement, recipe_from_mapping({"steps": list(steps), "constraint": "real_nonneg"}), seed=1)


def test_little_is_lost_against_the_static_region_known():
    known, truth = scene(True)
    unknown, secret = scene(False)
    assert unknown.static_region is None and np.array_equal(truth.object, secret.object)
    best = evaluate(solve(known, PLAIN), known, truth).metrics
    result = solve(unknown, ESTIMATE, PLAIN)
    found = evaluate(result, unknown, secret).metrics
    (report,) = result.recipe["static_estimate"]
    assert report["accepted"] and abs(report["misfit_ratio"] - report["expected"]) < 0.05
    assert found["psnr_db"] > best["psnr_db"] - 0.5
    assert found["r_factor_truth"] == pytest.approx(best["r_factor_truth"], rel=1e-3)


def test_a_start_that_is_not_accepted_goes_on_from_its_best():
    unknown, _ = scene(False, size=64, sample_photons_per_pixel=1000.0)
    short = {"iterations": 20, "er_iterations": 5, "tries": 1}
    stopped, gone_on = (
        solve(unknown, {"static_estimate": {**short, "hops": hops}}).recipe["static_estimate"][0] for hops in (0, 24)
    )
    assert not stopped["accepted"] and stopped["hops"] == 0
    assert gone_on["accepted"] and 0 < gone_on["hops"] <= 24


def test_alone_it_gives_the_sample_beside_its_estimate():
    unknown, truth = scene(False)
    result = solve(unknown, ESTIMATE)
    assert result.forward["static_region"].shape == (128, 128) and not result.object[unknown.static_support].any()
    assert evaluate(result, unknown, truth).metrics["psnr_db"] > 15


def test_shots_have_one_each_and_a_movie_has_one():
    for stack in ({"count": 2}, {"frames": 2}):
        unknown, _ = scene(False, size=64, **stack)
        result = solve(unknown, {"static_estimate": {"iterations": 30, "er_iterations": 5, "tries": 1}}, PLAIN)
        assert len(result.recipe["static_estimate"]) == stack.get("count", 1)
        assert result.forward["static_region"].ndim == (3 if "count" in stack else 2)
        assert result.object.shape == (2, 64, 64)


def test_from_the_command_line(tmp_path, cli):
    made = ("-o", tmp_path / "m.cxi", "--truth", tmp_path / "t.cxi", "--set", "size=64", "--set", "static_known=false")
    assert cli("simulate", "static_region", *made).code == 0
    (tmp_path / "r.yaml").write_text(
        "steps: [{static_estimate: {iterations: 30, er_iterations: 5, tries: 1}}, {hio_static: {}}]\n"
    )
    (tmp_path / "w.yaml").write_text("steps: [{hio_static: {}}, {static_estimate: {}}]\n")
    done = cli("reconstruct", tmp_path / "m.cxi", "--recipe", tmp_path / "r.yaml", "-o", tmp_path / "r.cxi")
    assert done.code == 0 and "static region estimated" in done.out
    back = read_reconstruction(tmp_path / "r.cxi")
    assert back.recipe["static_estimate"][0]["tries"] == 1 and back.forward["static_region"].any()
    found = cli(
        "evaluate",
        tmp_path / "r.cxi",
        "--measurement",
        tmp_path / "m.cxi",
        "--truth",
        tmp_path / "t.cxi",
        "-o",
        tmp_path / "e.json",
    )
    assert found.code == 0 and "psnr_db" in (tmp_path / "e.json").read_text()
    late = cli("reconstruct", tmp_path / "m.cxi", "--recipe", tmp_path / "w.yaml", "-o", tmp_path / "x.cxi")
    assert "must be the first step" in late.complaint
    alone = cli("reconstruct", tmp_path / "m.cxi", "-m", "hio_static", "-o", tmp_path / "x.cxi")
    assert "needs a measurement with static region" in alone.complaint


def test_it_needs_the_place_of_the_structure():
    polygons, _ = simulate(get_scene("polygons"), get_scene("polygons").parameters(size=64), 0)
    with pytest.raises(InputError, match="static support"):
        solve(polygons, ESTIMATE, PLAIN)


def test_the_twin_within_the_box():
    inside = torch.zeros(16, 16, dtype=torch.bool)
    inside[3:7, 9:14] = True
    content = torch.randn(16, 16, dtype=torch.complex128, generator=torch.Generator().manual_seed(0)) * inside
    corner = [fourier.to_corner(a, 2) for a in (content, inside)]
    turned = fourier.to_centre(turn_in_box(*corner), 2)
    assert torch.equal(turned[3, 9], content[6, 13].conj()) and not turned[~inside].any()
    alone = [fourier.forward(a, 2).abs() for a in (content, turned)]
    assert torch.allclose(alone[0], alone[1])
