import json

import numpy as np
import pytest

from cdipipe.cli.main import run
from cdipipe.io.cxi import read_reconstruction, read_truth, write_reconstruction
from cdipipe.measurement import Reconstruction


@pytest.fixture
def folder(tmp_path):
    """m.cxi, t.cxi, and r.cxi: five runs, the truth under ambiguities and more and more phase noise."""
    assert (
        run(["simulate", "polygons", "-o", f"{tmp_path}/m.cxi", "--truth", f"{tmp_path}/t.cxi", "--set", "size=48"])
        == 0
    )
    truth = read_truth(tmp_path / "t.cxi")
    rng = np.random.default_rng(0)
    runs = [truth.object * np.exp(1j * 0.2 * i * rng.normal(size=(48, 48))) for i in range(5)]
    runs = np.stack([np.roll(r, i, 0) for i, r in enumerate(runs)]).astype(np.complex64)
    scores = {"poisson_nll": np.arange(5.0), "r_factor": np.arange(5.0) / 10, "seed": np.array([3, 0, 1, 4, 2])}
    result = Reconstruction(
        object=runs[0],
        support=truth.support,
        method="test",
        runs=runs,
        run_scores=scores,
        error_trace=np.ones((5, 7), np.float32),
        backend="test",
        seconds=1.0,
    )
    write_reconstruction(tmp_path / "r.cxi", result)
    return tmp_path


def evaluate(folder, *extra):
    return run(["evaluate", f"{folder}/r.cxi", "--measurement", f"{folder}/m.cxi", "-o", f"{folder}/out.json", *extra])


def test_metrics_are_flat_numbers_and_words(folder, capsys):
    assert evaluate(folder, "--truth", f"{folder}/t.cxi") == 0
    assert "complex_correlation 1" in capsys.readouterr().out
    found = json.loads((folder / "out.json").read_text())
    assert all(isinstance(value, (int, float, str)) for value in found.values())
    assert {"r_factor", "chi2", "poisson_nll", "repeatability", "ssim", "backend", "verdict"} <= set(found)
    assert "no PRTF: of 5 runs random phases" in found["reasons"] and "prtf_resolution_px" not in found


@pytest.mark.parametrize("suffix", ["npz", "json"])
def test_curves_hold_radii_and_thresholds(folder, suffix):
    path = folder / f"c.{suffix}"
    assert evaluate(folder, "--truth", f"{folder}/t.cxi", "--curves", str(path)) == 0
    curves = dict(np.load(path)) if suffix == "npz" else json.loads(path.read_text())
    for name in ("prtf", "frc"):
        assert len(curves[name]) == len(curves[f"{name}_frequency"]) == 25
        assert curves[f"{name}_frequency"][-1] == 0.5
        assert f"{name}_threshold" in curves


def test_bad_input_leaves_nothing(folder, capsys):
    before = sorted(folder.iterdir())
    assert run(["simulate", "polygons", "-o", f"{folder}/m.cxi", "--set", "size=32"]) == 0
    capsys.readouterr()
    for extra in (
        [],
        ["--curves", f"{folder}/c.txt"],
        ["--truth", f"{folder}/m.cxi"],
        ["--curves", f"{folder}/out.json"],
    ):
        assert evaluate(folder, *extra) == 2
        assert capsys.readouterr().err.count("\n") == 1
    assert run(["evaluate", f"{folder}/r.cxi", "--measurement", f"{folder}/m.cxi", "-o", f"{folder}/r.cxi"]) == 2
    assert run(["evaluate", f"{folder}/none.cxi", "--measurement", f"{folder}/m.cxi", "-o", f"{folder}/out.json"]) == 2
    assert sorted(folder.iterdir()) == before
    read_reconstruction(folder / "r.cxi")


def test_runs_are_listed(folder, capsys):
    capsys.readouterr()
    assert run(["runs", f"{folder}/r.cxi", "--json", "--drop", "1", "--agree", "0"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["index"] for row in rows] == list(range(5))
    assert [row["kept"] for row in rows] == [True, False, True, True, True]
    assert [row["seed"] for row in rows] == [3, 0, 1, 4, 2]
    assert rows[0]["correlation_with_best"] == pytest.approx(1)
    assert np.all(np.diff([row["correlation_with_best"] for row in rows]) < 0)
    assert rows[3]["shift_px"] == pytest.approx([-3, 0], abs=0.2)
    assert run(["runs", f"{folder}/r.cxi"]) == 0
    told = capsys.readouterr().out.strip().splitlines()
    assert len(told) == 7 and told[-1].startswith("left out, because they correlate less than 0.9 with run 0: 3 (")


def test_the_mean_of_the_kept_runs_is_a_new_reconstruction(folder, capsys):
    before = (folder / "r.cxi").read_bytes()
    out = folder / "r2.cxi"
    assert (
        run(
            [
                "runs",
                f"{folder}/r.cxi",
                "--drop",
                "0,4",
                "--keep-best",
                "2",
                "--modes",
                "5",
                "--agree",
                "0.5",
                "-o",
                str(out),
            ]
        )
        == 0
    )
    assert (folder / "r.cxi").read_bytes() == before
    result = read_reconstruction(out)
    assert result.runs.shape == (2, 48, 48)
    np.testing.assert_allclose(result.object, result.runs.mean(0), atol=1e-4 * np.abs(result.object).max())
    np.testing.assert_array_equal(result.run_scores["seed"], [0, 1])
    assert result.error_trace.shape == (2, 7)
    assert result.modes.shape == (2, 48, 48)
    assert result.mode_weights.sum() == pytest.approx(1)
    assert result.support.any()
    assert result.recipe["mean_of_runs"] == [1, 2]
    assert "r.cxi" in result.provenance["inputs"]


def test_a_mean_of_one_says_so(folder, capsys):
    assert run(["runs", f"{folder}/r.cxi", "--agree", "0.9999", "-o", f"{folder}/r3.cxi"]) == 0
    assert "run 0 alone: no other agrees with it" in capsys.readouterr().out
    assert read_reconstruction(folder / "r3.cxi").recipe["mean_of_runs"] == [0]


@pytest.mark.parametrize(
    "options", [["--drop", "0,1,2,3,4"], ["--drop", "5"], ["--drop", "x"], ["--drop", "-1"], ["--keep-best", "0"]]
)
def test_impossible_choices_are_one_line(folder, capsys, options):
    capsys.readouterr()
    assert run(["runs", f"{folder}/r.cxi", "-o", f"{folder}/r2.cxi", *options]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (folder / "r2.cxi").exists()


def test_the_input_is_never_replaced(folder, capsys):
    assert run(["runs", f"{folder}/r.cxi", "-o", f"{folder}/r.cxi"]) == 2
    assert "replace its input" in capsys.readouterr().err
    assert read_reconstruction(folder / "r.cxi").runs.shape == (5, 48, 48)


def test_without_stored_runs_it_says_how_to_get_them(folder, capsys):
    from dataclasses import replace

    write_reconstruction(folder / "r.cxi", replace(read_reconstruction(folder / "r.cxi"), runs=None))
    capsys.readouterr()
    assert run(["runs", f"{folder}/r.cxi"]) == 2
    assert "--keep-runs" in capsys.readouterr().err


def test_runs_of_shots_are_not_those_of_one_pattern(folder, capsys):
    from dataclasses import replace

    one = read_reconstruction(folder / "r.cxi")
    objects, runs = np.stack([one.object] * 5), np.stack([one.runs] * 5, 1)
    shots = replace(one, object=objects, support=np.stack([one.support] * 5), stack="shots", runs=runs)
    write_reconstruction(folder / "r.cxi", shots)
    assert read_reconstruction(folder / "r.cxi").runs.shape == (5, 5, 48, 48)
    capsys.readouterr()
    assert run(["runs", f"{folder}/r.cxi"]) == 2
    assert "needs a single pattern or volume" in capsys.readouterr().err
