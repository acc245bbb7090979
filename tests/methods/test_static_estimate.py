"""The static region is unknown: estimated first, then taken as known."""

import numpy as np
import pytest
import torch

from cdipipe.errors import InputError
from cdipipe.io.cxi import read_reconstruction
from cdipipe.methods.static_estimate.estimate import turn_in_box
from cdipipe.methods.static_estimate.prior import denoise_and_judge
from cdipipe.metrics.evaluate import evaluate
from cdipipe.optics import fourier
from cdipipe.phasing.recipe import recipe_from_mapping
from cdipipe.phasing.reconstruct import reconstruct
from cdipipe.simulation.exposure import simulate
from cdipipe.simulation.registry import get_scene

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
    assert found["psnr_db"] > best["psnr_db"] - 0.1
    assert found["r_factor_truth"] == pytest.approx(best["r_factor_truth"], rel=1e-3)


def test_a_denoiser_makes_the_static_structure_better():
    unknown, truth = scene(False, sample_photons_per_pixel=0.1)
    results = [solve(unknown, {"static_estimate": {"prior": prior}}) for prior in ("none", "learned")]
    none, learned = (evaluate(result, unknown, truth).metrics["psnr_db"] for result in results)
    assert learned > none + 0.02


def test_the_prior_is_for_complex_samples_behind_a_mask_too():
    unknown, truth = scene(False, size=64, phase_range_rad=1.0, sample_photons_per_pixel=100.0)
    unknown.measured[30:34, 30:34] = False
    short = {"iterations": 100, "tries": 1, "hops": 2}
    steps = [{"static_estimate": {**short, "prior": prior}} for prior in ("none", "tv")]
    found = [
        reconstruct(unknown, recipe_from_mapping({"steps": [step], "constraint": "support"}), seed=1) for step in steps
    ]
    errors = [np.linalg.norm(r.forward["static_region"] - truth.extra["static_region"]) for r in found]
    assert errors[1] < 1.1 * errors[0] and np.isfinite(found[1].object).all()


@pytest.mark.parametrize("kind", [torch.float64, torch.complex128])
def test_the_error_of_a_denoiser_is_told_without_the_truth(kind):
    generator = torch.Generator().manual_seed(0)
    rows, columns = torch.meshgrid(torch.linspace(0, 6, 48), torch.linspace(0, 4, 48), indexing="ij")
    image = (2 + torch.sin(rows) * torch.cos(columns)).to(kind)
    noise = torch.randn(48, 48, generator=generator, dtype=kind) * (2**0.5 if kind.is_complex else 1)
    support = torch.ones(48, 48, dtype=torch.bool)
    weight = torch.ones(48, 48, dtype=torch.float64)
    clean, error = denoise_and_judge(image + 0.3 * noise, support, weight, 0.3, "tv", generator)
    parts = clean.numel() * (2 if kind.is_complex else 1)
    true = float((torch.linalg.norm(clean - image) ** 2 / parts).sqrt())
    assert 0.02 < true < 0.2 and error == pytest.approx(true, rel=0.35)


def test_a_search_that_fails_says_so(caplog):
    unknown, _ = scene(False, size=64)
    solve(unknown, {"static_estimate": {"iterations": 2, "er_iterations": 0, "tries": 1, "hops": 0, "prior": "none"}})
    assert "the static region was not found" in caplog.text


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
        result = solve(
            unknown, {"static_estimate": {"iterations": 30, "er_iterations": 5, "tries": 1, "hops": 2}}, PLAIN
        )
        assert len(result.recipe["static_estimate"]) == stack.get("count", 1)
        assert result.forward["static_region"].ndim == (3 if "count" in stack else 2)
        assert result.object.shape == (2, 64, 64)


def test_from_the_command_line(tmp_path, cli):
    made = ("-o", tmp_path / "m.cxi", "--truth", tmp_path / "t.cxi", "--set", "size=64", "--set", "static_known=false")
    assert cli("simulate", "static_region", *made).code == 0
    (tmp_path / "r.yaml").write_text(
        "steps: [{static_estimate: {iterations: 30, er_iterations: 5, tries: 1, hops: 2}}, {hio_static: {}}]\n"
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
