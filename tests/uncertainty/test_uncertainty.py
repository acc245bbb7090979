"""Error bars: replicas spread as the noise says, intervals hold the truth, stacks are refused."""

import json
from dataclasses import replace

import numpy as np
import pytest

import cdipipe as cdi
from cdipipe.cli.main import run
from cdipipe.errors import InputError
from cdipipe.io.cxi import write_measurement, write_reconstruction, write_truth
from cdipipe.measurement import Measurement, Reconstruction
from cdipipe.optics.forward import ForwardModel
from cdipipe.uncertainty import error_model
from cdipipe.uncertainty.choices import Choices
from cdipipe.uncertainty.estimate import estimate
from cdipipe.uncertainty.files import read_uncertainty, write_uncertainty
from cdipipe.uncertainty.judge import errors_of, judge, rank_correlation
from cdipipe.uncertainty.network_replicas import NetworkReplicator
from cdipipe.uncertainty.replicas import Replicator


@pytest.fixture(scope="module")
def phased():
    measurement, truth = cdi.simulate("polygons", size=64, photons=1e6, phase_range_rad=1.0, seed=5, with_truth=True)
    return cdi.reconstruct(measurement, "hio", restarts=2, keep_runs=True), measurement, truth


def exact(photons):
    """A truth that is its own result, with counts drawn from it."""
    measurement, truth = cdi.simulate("polygons", size=48, photons=1e6, phase_range_rad=1.0, seed=2, with_truth=True)
    scaled = (truth.object * np.sqrt(photons / np.sum(np.abs(truth.object) ** 2))).astype(np.complex64)
    counts = np.random.default_rng(0).poisson(ForwardModel().photons_of(scaled)).astype(np.float32)
    measured = replace(measurement, intensity=counts)
    return Reconstruction(scaled, truth.support), measured


def test_noise_grows_as_the_inverse_root_of_the_photons():
    spreads = []
    for photons in (1e6, 1e8):
        result, measurement = exact(photons)
        found = Replicator(result, measurement, 0).parametric(8, 5)
        spreads.append(error_model.spread_of(found, result.object)[result.support].mean() / np.sqrt(photons))
    assert spreads[0] / spreads[1] == pytest.approx(10, rel=0.35)


def test_thinned_and_parametric_replicas_spread_alike():
    result, measurement = exact(1e7)
    replicator = Replicator(result, measurement, 0)
    spreads = []
    for make in (replicator.parametric, replicator.thinned):
        found = make(12, 5)
        spreads.append(error_model.spread_of(found, found.mean(0))[result.support].mean())
    assert spreads[0] == pytest.approx(spreads[1], rel=0.3)


def test_maps_are_of_the_support_and_come_back_from_a_file(phased, tmp_path):
    found = estimate(*phased[:2])
    write_uncertainty(tmp_path / "u.cxi", found)
    again = read_uncertainty(tmp_path / "u.cxi")
    for name, values in found.maps.items():
        np.testing.assert_array_equal(np.isfinite(values), found.support)
        np.testing.assert_allclose(again.maps[name], values, rtol=1e-6)
    assert (again.freedom, again.choices) == (found.freedom, found.choices)


def test_the_same_seed_gives_the_same_error_bars(phased):
    one, two = (estimate(*phased[:2], Choices(seed=3)) for _ in range(2))
    np.testing.assert_array_equal(one.maps["error_90"], two.maps["error_90"])


def test_errors_are_those_that_were_put_in():
    result, _ = exact(1e6)
    turned = np.roll(result.object, (3, -2), (0, 1)) * np.exp(0.7j) * 5
    errors = errors_of(result.object, result.support, "shift", turned)
    typical = np.abs(result.object[result.support]).mean()
    assert errors["complex"].max() < 1e-3 * typical and errors["phase"].max() < 1e-2


def test_coverage_counts_the_pixels_inside_their_intervals(phased):
    result, measurement, truth = phased
    found = estimate(result, measurement)
    wide = replace(found, maps={name: values * 1e6 for name, values in found.maps.items()})
    narrow = replace(found, maps={name: values * 0 for name, values in found.maps.items()})
    assert judge(wide, truth)["coverage_90"] == 1
    assert judge(narrow, truth)["coverage_90"] < 0.01
    assert 0 < judge(found, truth)["coverage_90"] <= 1


def objects_whose_error_is_a_sign(random, count, rocking=False, scale=1.0):
    """Signs and errors of simulated objects: (200 pixels, signs) and kind -> (200,) each."""
    signs = [random.normal(size=(200, len(error_model.SIGNS))) for _ in range(count)]
    for one in signs:
        one[:, [error_model.GROUPED_BY, error_model.ROCKING]] = random.normal(), rocking
    errors = [{"complex": scale * np.exp(one[:, 0]) * np.abs(random.normal(size=200))} for one in signs]
    return signs, errors


def model_of(signs, errors, held_signs, held_errors):
    pooled = {"complex": np.concatenate([e["complex"] for e in errors])}
    model = error_model.fit(np.concatenate(signs), pooled, np.repeat(np.arange(len(signs)), 200))
    ratios = [error_model.ratios_of(model, *pair) for pair in zip(held_signs, held_errors, strict=True)]
    error_model.calibrate(model, held_signs, ratios)
    return model


def coverage(model, signs, errors):
    return np.mean([
        np.mean(e["complex"] <= error_model.predict(model, s, "complex")) for s, e in zip(signs, errors, strict=True)
    ])  # fmt: skip


def test_factors_hold_nine_tenths_of_other_objects():
    random = np.random.default_rng(1)
    parts = (*objects_whose_error_is_a_sign(random, 20), *objects_whose_error_is_a_sign(random, 220))
    model = model_of(*parts)
    assert len(model["kinds"]["complex"]["factors"][0]) == error_model.BINS
    assert coverage(model, *objects_whose_error_is_a_sign(random, 20)) == pytest.approx(0.9, abs=0.04)


def test_crystals_from_rocking_curves_have_factors_of_their_own():
    random = np.random.default_rng(2)
    fitted = objects_whose_error_is_a_sign(random, 20)
    held = [
        one + other
        for one, other in zip(
            objects_whose_error_is_a_sign(random, 40),
            objects_whose_error_is_a_sign(random, 40, rocking=True, scale=0.2),
            strict=True,
        )
    ]
    model = model_of(*fitted, *held)
    for rocking, scale in ((False, 1.0), (True, 0.2)):
        others = objects_whose_error_is_a_sign(random, 20, rocking, scale)
        assert coverage(model, *others) == pytest.approx(0.9, abs=0.04)


def test_differences_inside_objects_decide_the_regression():
    """A sign that is large where the error is, inside each object, but small in bad objects."""
    random = np.random.default_rng(3)
    signs, errors = objects_whose_error_is_a_sign(random, 30)
    for level, one, error in zip(np.linspace(-2, 2, 30), signs, errors, strict=True):
        error["complex"] = np.exp(one[:, 0] + level)
        one[:, 0] -= 2 * level
    model = model_of(signs, errors, signs, errors)
    stated = [error_model.predict(model, one, "complex") for one in signs]
    found = [rank_correlation(s, e["complex"]) for s, e in zip(stated, errors, strict=True)]
    assert min(found) > 0.9


def test_rank_correlation_of_hand_made_values():
    assert rank_correlation(np.array([1, 2, 3, 4]), np.array([10, 20, 30, 99])) == pytest.approx(1)
    assert rank_correlation(np.array([1, 2, 3, 4]), np.array([4, 3, 2, 1])) == pytest.approx(-1)
    assert rank_correlation(np.array([1, 1, 1]), np.array([4, 3, 2])) == 0


def test_stacks_and_wrong_shapes_are_refused(phased):
    result, measurement, _ = phased
    shots = Measurement(np.stack([measurement.intensity] * 2), measurement.measured, "shots")
    many = Reconstruction(np.stack([result.object] * 2), np.stack([result.support] * 2), "shots")
    with pytest.raises(InputError, match="stack of shots"):
        estimate(many, shots)
    with pytest.raises(InputError, match="differ"):
        estimate(replace(result, object=result.object[:32], support=result.support[:32]), measurement)


def test_the_command_writes_error_bars_that_evaluate_and_plot_read(phased, tmp_path, capsys):
    files = [tmp_path / name for name in ("r.cxi", "m.cxi", "t.cxi")]
    for write, path, record in zip((write_reconstruction, write_measurement, write_truth), files, phased, strict=True):
        write(path, record)
    r, m, t = map(str, files)
    out = f"{tmp_path}/u.cxi"
    assert run(["uncertainty", r, "--measurement", m, "-o", out, "--set", "noise=3"]) == 0
    assert run(["evaluate", out, "--measurement", m, "--truth", t, "-o", f"{tmp_path}/v.json"]) == 0
    numbers = json.loads((tmp_path / "v.json").read_text())
    assert 0 <= numbers["coverage_90"] <= 1 and -1 <= numbers["error_rank_correlation"] <= 1
    assert run(["plot", out, "-o", f"{tmp_path}/u.png"]) == 0
    assert run(["uncertainty", r, "--measurement", m, "-o", out, "--set", "nois=3"]) == 2
    assert "did you mean 'noise'" in capsys.readouterr().err
    assert run(["uncertainty", r, "--measurement", m, "-o", m]) == 2


@pytest.fixture(scope="module", params=[{"views": 1}, {"views": 8}, {"refine": 75}], ids=str)
def predicted(request):
    asked = {"size": 32, "photons": 1e5, "phase_range_rad": 3.0, "seed": 31}
    measurement, truth = cdi.simulate("polygons", with_truth=True, **asked)
    return cdi.reconstruct(measurement, {"method": "cdi_nn", **request.param}), measurement, truth


def test_error_bars_of_a_network_come_from_what_it_makes_of_other_counts_and_views(predicted):
    result, measurement, truth = predicted
    found = estimate(result, measurement)
    spread = np.nanmean(found.maps["restarts"]) / np.abs(result.object[result.support]).mean()
    assert 0.003 < spread < 1 and np.nanmean(found.maps["noise"]) > 0
    assert 0.6 < judge(found, truth)["coverage_90"] <= 1
    refined = result.recipe["steps"][0]["cdi_nn"]["refine"]
    assert error_model.kind_of(result.recipe, 2) == ("cdi_nn refined" if refined else "cdi_nn")


def test_error_bars_of_unrolled_come_from_other_starts_and_counts_in_planes():
    detector = {"mask": {"central_square_px": 4}}
    measurement = cdi.simulate("pseudo_objects", size=128, photons=1e5, detector=detector, seed=3)
    quick = {"method": "unrolled", "starts": 1, "screen_steps": 2, "step_count": 3, "finish": 5}
    result = cdi.reconstruct(measurement, quick)
    replicator = NetworkReplicator(result, measurement, 0)
    first, second, again = (replicator.restarted(1, 1)[0], *replicator.restarted(2, 1))
    assert np.array_equal(first, second) and not np.allclose(second, again)
    assert np.isfinite(
        estimate(result, measurement, Choices(noise=2, restarts=2)).maps["error_90"][result.support]
    ).all()
    assert error_model.kind_of(result.recipe, 2) == "unrolled"
    assert error_model.kind_of(result.recipe, 3) == "unrolled volumes"
    assert error_model.kind_of({"steps": [{"unrolled": {"objects": "complex"}}]}, 2) == "2"
    assert error_model.kind_of({"steps": [{"unrolled": {"checkpoint": "net.pt"}}]}, 2) == "2"


def test_what_iterates_after_a_network_has_error_bars_of_iterations(predicted):
    steps = predicted[0].recipe["steps"]
    assert error_model.kind_of({"steps": [*steps, {"er": {"iterations": 5}}]}, 2) == "2"
    assert error_model.kind_of({}, 3) == "3"


def test_weights_that_are_gone_are_one_line(predicted):
    result, measurement, _ = predicted
    steps = [{"cdi_nn": result.recipe["steps"][0]["cdi_nn"] | {"checkpoint": "gone.pt"}}]
    with pytest.raises(InputError, match=r"gone\.pt"):
        estimate(replace(result, recipe=result.recipe | {"steps": steps}), measurement)


def test_of_other_weights_the_command_says_that_they_were_not_calibrated(predicted, tmp_path, capsys):
    from cdipipe.networks.registry import get_network

    result, measurement, _ = predicted
    write_measurement(tmp_path / "M.cxi", measurement)
    parameters = result.recipe["steps"][0]["cdi_nn"]
    own = parameters | {"checkpoint": str(get_network("cdi_nn").weights)}
    cases = [(parameters, None), (own, "weights of your own for cdi_nn"), (parameters | {"refine": 3}, "refine=3")]
    for chosen, told in cases:
        steps = [{"cdi_nn": chosen}]
        write_reconstruction(tmp_path / "R.cxi", replace(result, recipe=result.recipe | {"steps": steps}))
        asked = ["uncertainty", str(tmp_path / "R.cxi"), "--measurement", str(tmp_path / "M.cxi")]
        assert run([*asked, "-o", str(tmp_path / "U.cxi")]) == 0
        assert (told is None) == ("not calibrated" not in (out := capsys.readouterr().out)) and (told or "") in out
