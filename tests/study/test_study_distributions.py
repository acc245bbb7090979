"""Distributions of a study: values of every pattern, tests between methods, best and worst objects."""

import json

import numpy as np
import pytest
import yaml

from cdipipe.errors import InputError
from cdipipe.metrics.statistics import by_pattern, compare_paired
from cdipipe.study.config import check_config
from cdipipe.study.distributions import best_and_worst, fill_distribution, write_distribution

STUDY = {
    "output": "out",
    "measurements": {name: {"scene": "polygons", "set": {"size": 32, "count": 4}} for name in ("a", "b")},
    "methods": {"er": {"method": "er"}, "hio": {"method": "hio"}},
    "reconstructions": [{"measurements": ["a"]}, {"measurements": ["b"], "methods": ["er"]}],
    "distributions": {"d": {"metric": "chi2", "measurements": ["a", "b"]}},
}


def write(folder, measurement, method, values):
    place = folder / measurement / method
    place.mkdir(parents=True)
    rows = [{"chi2": value} for value in values]
    (place / "metrics.json").write_text(json.dumps({"chi2": float(np.mean(values)), "patterns": len(values)}))
    np.savez(place / "curves.npz", **(by_pattern(rows) if len(values) > 1 else {}))


def test_patterns_of_all_measurements_are_taken_together(tmp_path):
    config = check_config(STUDY | {"output": str(tmp_path)}, "study")
    write(tmp_path, "a", "er", [0.1, 0.4, 0.2])
    write(tmp_path, "a", "hio", [0.3, 0.5, 0.25])
    write(tmp_path, "b", "er", [0.05])
    found = fill_distribution(config, "d")
    assert found.places == [("a", 0), ("a", 1), ("a", 2), ("b", 0)]
    np.testing.assert_array_equal(found.values["er"], [0.1, 0.4, 0.2, 0.05])
    np.testing.assert_array_equal(found.values["hio"], [0.3, 0.5, 0.25, np.nan])
    assert best_and_worst(found, 5) == ([3, 0], [1, 2])  # low chi2 is good; no pattern is both
    lines = write_distribution(found).splitlines()
    assert lines[1].startswith("er\tchi2\t4\t0.1875\t") and lines[4].startswith("er\thio\t3\t-0.1\t")


def test_paired_tests_tell_methods_apart():
    rng = np.random.default_rng(1)
    patterns = rng.normal(0, 5, 80)  # the patterns differ far more than the methods
    first, second = patterns + rng.normal(0.5, 0.2, 80), patterns + rng.normal(0, 0.2, 80)
    found = compare_paired(np.append(first, np.nan), np.append(second, 1.0))
    assert found["patterns"] == 80 and found["difference"] == pytest.approx(0.5, abs=0.1)
    assert found["wilcoxon_p"] < 1e-10 < 0.3 < found["mann_whitney_p"]
    assert 0.5 < found["superiority"] < 0.6
    same = compare_paired(first, first)
    assert same["wilcoxon_p"] == 1 and same["mann_whitney_p"] == pytest.approx(1)


def test_what_is_missing_or_unknown_is_named(tmp_path):
    with pytest.raises(InputError, match=r"curves\.npz: missing"):
        fill_distribution(check_config(STUDY | {"output": str(tmp_path)}, "study"), "d")
    with pytest.raises(InputError, match="unknown measurement 'c'"):
        check_config(STUDY | {"distributions": {"d": {"metric": "chi2", "measurements": ["c"]}}}, "study")
    with pytest.raises(InputError, match="has this name already"):
        check_config(STUDY | {"galleries": {"d": {"rows": {"a": "a"}}}}, "study")


def test_the_figure_shows_best_and_worst_objects(tmp_path, cli, monkeypatch):
    monkeypatch.chdir(tmp_path)
    study = STUDY | {"reconstructions": [{"measurements": ["a"]}]}
    study["distributions"] = {"d": {"metric": "r_factor", "measurements": ["a"], "shown": 2}}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study))
    for method in ("er", "hio"):
        (tmp_path / "out" / "a" / method).mkdir(parents=True)
    options = ["--set", "size=32", "--set", "count=4", "-o", "out/a/M.cxi", "--truth", "out/a/T.cxi"]
    assert cli("simulate", "polygons", *options).code == 0
    for method in ("er", "hio"):
        place = f"out/a/{method}"
        asked = ["-m", method, "--set", "iterations=5", "-o", f"{place}/R.cxi"]
        assert cli("reconstruct", "out/a/M.cxi", *asked).code == 0
        files = ["--measurement", "out/a/M.cxi", "--truth", "out/a/T.cxi", "--curves", f"{place}/curves.npz"]
        assert cli("evaluate", f"{place}/R.cxi", *files, "-o", f"{place}/metrics.json").code == 0
    outcome = cli("table", "study.yaml", "d", "-o", "d.png", "--values", "d.tsv")
    assert outcome.code == 0, outcome.err
    assert (tmp_path / "d.png").stat().st_size > 20_000 and "er\thio\t4\t" in (tmp_path / "d.tsv").read_text()


def test_volumes_are_shown_by_their_middle_plane(tmp_path, cli, monkeypatch):
    monkeypatch.chdir(tmp_path)
    study = {"output": "out", "methods": {"er": {"method": "er"}}, "reconstructions": [{"measurements": ["a", "b"]}]}
    study["measurements"] = {name: {"scene": "polygons", "set": {"dimensions": 3}} for name in ("a", "b")}
    study["distributions"] = {"d": {"metric": "r_factor", "measurements": ["a", "b"], "shown": 1}}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study))
    for seed, name in enumerate(("a", "b")):
        place = tmp_path / "out" / name / "er"
        place.mkdir(parents=True)
        m, t = (str(place.parent / file) for file in ("M.cxi", "T.cxi"))
        options = ["--set", "size=16", "--set", "dimensions=3", "--seed", str(seed), "-o", m, "--truth", t]
        assert cli("simulate", "polygons", *options).code == 0
        assert cli("reconstruct", m, "-m", "er", "--set", "iterations=5", "-o", str(place / "R.cxi")).code == 0
        files = ["--measurement", m, "--truth", t, "--curves", str(place / "curves.npz")]
        assert cli("evaluate", str(place / "R.cxi"), *files, "-o", str(place / "metrics.json")).code == 0
    outcome = cli("table", "study.yaml", "d", "-o", "d.png", "--values", "d.tsv")
    assert outcome.code == 0, outcome.err
