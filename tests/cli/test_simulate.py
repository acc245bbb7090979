import json

import numpy as np
import pytest

from cdipipe.cli.main import run
from cdipipe.io.cxi import read_measurement, read_truth


def simulate(folder, *extra):
    return run(["simulate", "polygons", "-o", str(folder / "m.cxi"), "--truth", str(folder / "t.cxi"), *extra])


def test_measurement_and_truth_are_written(tmp_path, capsys):
    code = simulate(tmp_path, "--seed", "3", "--set", "size=48", "--set", "photons=1e5", "--set", "count=2")
    assert code == 0
    measurement, truth = read_measurement(tmp_path / "m.cxi"), read_truth(tmp_path / "t.cxi")
    assert measurement.stack == truth.stack == "shots"
    assert measurement.intensity.shape == truth.object.shape == truth.support.shape == (2, 48, 48)
    assert measurement.provenance["parameters"]["photons"] == 1e5
    assert measurement.provenance["seed"] == 3
    assert "photons per pattern" in capsys.readouterr().out


def test_same_command_same_data(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        assert simulate(tmp_path / name, "--set", "size=32") == 0
    first, second = (read_measurement(tmp_path / name / "m.cxi").intensity for name in ("a", "b"))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(
    "extra",
    [
        ("--set", "photons=-1"),
        ("--set", "size=64", "--set", "object_size=100"),
        ("--set", "photns=3"),
        ("--set", "size"),
        ("--seed", "-1"),
        ("--truth", "nowhere/t.cxi"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(tmp_path, capsys, extra):
    assert simulate(tmp_path, *extra) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_unknown_scene_and_shared_output(tmp_path, capsys):
    assert run(["simulate", "polygon", "-o", str(tmp_path / "m.cxi")]) == 2
    assert "did you mean 'polygons'" in capsys.readouterr().err
    assert run(["simulate", "polygons", "-o", str(tmp_path / "m.cxi"), "--truth", str(tmp_path / "m.cxi")]) == 2
    assert list(tmp_path.iterdir()) == []


def test_a_truth_that_cannot_be_written_leaves_no_measurement(tmp_path, monkeypatch):
    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("cdipipe.io.cxi.write_truth", fail)
    assert simulate(tmp_path, "--set", "size=32") == 130
    assert list(tmp_path.iterdir()) == []


def test_scenes_are_listed_and_described(capsys):
    assert run(["scenes"]) == 0
    assert "polygons" in capsys.readouterr().out
    assert run(["scenes", "polygons"]) == 0
    text = capsys.readouterr().out
    assert "phase_range_rad" in text
    assert "doi:" in text
    assert run(["scenes", "polygons", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert {row["name"] for row in record["parameters"]} >= {"size", "photons", "object_size", "phase_range_rad"}
    assert run(["scenes", "--json"]) == 0
    assert "polygons" in json.loads(capsys.readouterr().out)
    assert run(["scenes", "nothing"]) == 2
