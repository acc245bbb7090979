"""A trained network on a corpus: numbers against what is known, the table, the pictures, and refusals."""

import json

import numpy as np
import pytest

from cdipipe.cli.evaluate_corpus import notes
from cdipipe.metrics.many import MEASURES, judge_object, phase_wraps
from cdipipe.optics.far_field import photons
from cdipipe.training.judge import _Kept


@pytest.fixture(scope="module")
def ball():
    x, y, z = np.indices((16, 16, 16)) - 8
    inside = (x**2 + y**2 + z**2 < 20) & (x + y < 3)
    return inside * np.exp(1j * np.where(z < 0, 0.9, -0.5))


def judged(found, truth):
    pattern = photons(truth, 3)
    return judge_object(found, truth, pattern, np.ones(truth.shape, bool))[0]


def test_shift_twin_phase_and_scale_do_not_matter(ball):
    for made in (ball, 3 * np.roll(ball, (2, -1, 0), (0, 1, 2)) * np.exp(2j), np.conj(np.flip(ball))):
        numbers = judged(made, ball)
        assert numbers["complex_correlation"] == pytest.approx(1, abs=1e-9)
        assert numbers["shape_correlation"] == pytest.approx(1, abs=1e-9)
        assert numbers["phase_error_rad"] < 1e-6 and numbers["r_factor"] < 1e-9


def test_shifts_by_parts_of_a_pixel_do_not_matter(ball):
    axes = np.meshgrid(*[np.fft.fftfreq(16)] * 3, indexing="ij")
    ramp = np.exp(-2j * np.pi * sum(q * s for q, s in zip(axes, (0.45, -0.3, 1.2), strict=True)))
    numbers = judged(np.fft.ifftn(np.fft.fftn(ball) * ramp), ball)
    assert numbers["complex_correlation"] > 0.99 and numbers["phase_error_rad"] < 0.05  # whole pixels: 0.9


def test_phase_zero_is_told_beside_the_network(ball):
    numbers, exact = judged(np.abs(ball).astype(complex), ball), judged(ball, ball)
    assert numbers["flat_correlation"] == pytest.approx(exact["flat_correlation"], abs=1e-6)
    assert numbers["complex_correlation"] <= numbers["flat_correlation"] < 0.95  # which the peak's ramp is no part of
    assert numbers["phase_error_rad"] > 0.2 and numbers["shape_correlation"] > 0.99
    assert exact["flat_phase_error_rad"] == pytest.approx(numbers["flat_phase_error_rad"])


def test_ramp_of_the_peak_does_not_matter(ball):
    x = np.indices(ball.shape)[0] - 8
    ramped = ball * np.exp(2j * np.pi * x / 16)
    there, here = judged(ramped, ramped), judged(ball, ball)
    assert there["flat_correlation"] == pytest.approx(
        here["flat_correlation"], abs=0.05
    )  # sharp edges reach the border


def test_wraps_are_the_jumps_of_a_phase_inside_the_object():
    phase = np.tile(np.linspace(-4, 4, 16), (16, 1))  # crosses pi between two columns, and -pi between two others
    inside = np.zeros((16, 16), bool)
    inside[3:8] = True
    assert phase_wraps(np.angle(np.exp(1j * phase)), inside) == 2 * 5
    assert phase_wraps(phase / 2, inside) == 0


def test_a_network_on_a_corpus(tmp_path, cli):
    corpus, run = tmp_path / "c", tmp_path / "run"
    make = ("corpus", "polygons", "-o", corpus, "--count", 12, "--chunk", 5, "--set", "size=16", "--set", "photons=1e5")
    assert cli(*make).code == 0
    small = ("--set", "epochs=1", "--set", "batch_size=4", "--set", "network.size=16", "--set", "network.widths=[2]")
    assert cli("train", "cdi_nn", "--corpus", corpus, "-o", run, *small).code == 0
    how = ("--set", "views=8", "--figures", tmp_path / "f")
    done = cli("evaluate", run / "best.pt", "--corpus", corpus, "-o", tmp_path / "v.json", *how)
    assert done.code == 0 and "complex_correlation" in done.out and "12 polygons" in done.out
    assert f"note: {corpus} is what the network was trained on" in done.out
    found = json.loads((tmp_path / "v.json").read_text())
    assert found["network"] == "cdi_nn" and found["count"] == 12 and found["settings"] == {"views": 8}
    assert found["summary"].keys() == MEASURES.keys()
    assert all(len(column) == 12 for column in found["samples"].values())
    assert {"support_px", "phase_range_rad", "phase_wraps", "photons", "masked_share"} < found["samples"].keys()
    mean = np.mean(found["samples"]["complex_correlation"])
    assert found["summary"]["complex_correlation"]["mean"] == pytest.approx(mean, abs=1e-4) and 0.1 < mean < 1
    for name in ("errors.png", "extremes.png"):
        assert (tmp_path / "f" / name).read_bytes().startswith(b"\x89PNG")
    for wrong in (("--truth", "t.cxi"), ("-o", tmp_path / "v.txt"), ("--set", "view=8")):
        refused = cli("evaluate", run / "best.pt", "--corpus", corpus, "-o", tmp_path / "w.json", *wrong)
        assert refused.code == 2 and not (tmp_path / "w.json").exists()


def test_of_few_samples_none_is_shown_twice():
    kept = _Kept()
    for number in (3, 1, 5, 2, 4, 0):
        kept.look_at(number / 10, number, np.ones(1), np.ones(1))
    assert [entry["number"] for entry in kept.all()] == [0, 1, 2, 3, 5, 4]


def test_other_objects_than_those_of_the_training_are_told():
    facts = {"corpus": {"kind": "cell"}, "seen_in_training": False, "trained_on": "polygons and cell"}
    assert notes(facts, "c") == []
    assert notes({**facts, "trained_on": None}, "c") == []
    assert notes({**facts, "trained_on": "polygons"}, "c") == ["the network was trained on polygons, not on cell"]
