"""The table of shots and its page."""

import json
import re

import numpy as np
import pytest

from cdipipe.cli.main import run
from cdipipe.io.cxi import read_measurement, read_truth, write_reconstruction
from cdipipe.measurement import Reconstruction

SETTINGS = [
    "size=40",
    "count=40",
    "photons=3e4",
    "shots.blank=0.2",
    "shots.weak=0.2",
    "detector.background_photons=0.02",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """m.cxi, t.cxi, and r.cxi: the truth, with three runs that agree less and less."""
    place = tmp_path_factory.mktemp("shots")
    options = [part for setting in SETTINGS for part in ("--set", setting)]
    assert run(["simulate", "polygons", "-o", f"{place}/m.cxi", "--truth", f"{place}/t.cxi", *options]) == 0
    truth = read_truth(place / "t.cxi")
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(3, *truth.object.shape)) * np.array([0, 0.1, 0.2])[:, None, None, None]
    runs = (truth.object * np.exp(1j * noise)).astype(np.complex64)
    free = rng.random((40, 40)) < 0.05
    write_reconstruction(
        place / "r.cxi", Reconstruction(runs[0], truth.support, "shots", "test", runs=runs, free_pixels=free)
    )
    return place


def rows_of(path):
    head, *rows = [line.split("\t") for line in path.read_text().rstrip("\n").split("\n")]
    return [dict(zip(head, row, strict=True)) for row in rows]


def test_each_shot_has_a_row(folder, capsys):
    assert run(["shots", f"{folder}/r.cxi", "--measurement", f"{folder}/m.cxi", "-o", f"{folder}/shots.tsv"]) == 0
    rows, kinds = rows_of(folder / "shots.tsv"), read_truth(folder / "t.cxi").extra["shot"]
    assert [row["shot"] for row in rows] == [str(n) for n in range(40)]
    assert f"{kinds.count('single')} single" in capsys.readouterr().out and {"single", "blank"} <= set(kinds)
    for row, kind in zip(rows, kinds, strict=True):
        if kind == "single":
            assert row["kind"] == "single" and float(row["score"]) > 0 and row["verdict"] != "bad"
            assert 0 < float(row["r_factor"]) < 0.5 and float(row["r_factor_free"]) > 0
            assert 0.7 < float(row["nll_over_noise"]) < 1.3
            assert float(row["agreement"]) > 0.9 and float(row["size_px"]) > 20 and float(row["sharpness"]) >= 1
        elif kind == "blank":
            assert row["kind"] == "blank" and row["sharpness"] == "" and row["r_factor"] == ""


def test_the_page_has_the_same_rows_and_a_picture_of_each(folder):
    files = ["-o", f"{folder}/again.tsv", "--page", f"{folder}/shots.html"]
    assert run(["shots", f"{folder}/r.cxi", "--measurement", f"{folder}/m.cxi", *files]) == 0
    text = (folder / "shots.html").read_text()
    data = json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])
    names = [column["name"] for column in data["head"]]
    rows = rows_of(folder / "again.tsv")
    assert names == list(rows[0]) and len(data["rows"]) == 40
    assert [row[names.index("kind")] for row in data["rows"]] == [row["kind"] for row in rows]
    assert text.count("data:image/webp;base64,") == 1 and "http" not in text


def test_patterns_alone_are_enough(folder):
    assert run(["shots", "--measurement", f"{folder}/m.cxi", "-o", f"{folder}/alone.tsv"]) == 0
    assert list(rows_of(folder / "alone.tsv")[0])[:3] == ["shot", "kind", "score"]


def test_what_is_no_stack_of_shots_is_refused(tmp_path, capsys):
    assert run(["simulate", "polygons", "-o", f"{tmp_path}/m.cxi", "--set", "size=32"]) == 0
    assert run(["shots", "--measurement", f"{tmp_path}/m.cxi", "-o", f"{tmp_path}/shots.tsv"]) == 2
    assert "stack of shots; this measurement is a single" in capsys.readouterr().err
    assert run(["shots", "--measurement", f"{tmp_path}/m.cxi", "-o", f"{tmp_path}/shots.csv"]) == 2
    assert "ends in .tsv" in capsys.readouterr().err


def test_import_keeps_the_shots_that_a_rule_asks_for(folder, tmp_path, capsys):
    stack, kinds = read_measurement(folder / "m.cxi"), read_truth(folder / "t.cxi").extra["shot"]
    np.save(tmp_path / "shots.npy", stack.intensity)
    words = ["import", f"{tmp_path}/shots.npy", "-o", f"{tmp_path}/kept.cxi", "--stack", "shots"]
    assert run([*words, "--keep-shots", "single"]) == 0
    assert f"kept: {kinds.count('single')} of 40 shots (single)" in capsys.readouterr().out
    kept = read_measurement(tmp_path / "kept.cxi")
    numbers = kept.provenance["import"]["kept_shots"]
    assert numbers == [n for n, kind in enumerate(kinds) if kind == "single"]
    np.testing.assert_array_equal(kept.intensity, stack.intensity[numbers])
    assert run([*words, "--keep-shots", "nice"]) == 2
    assert "'nice' is no rule; expected all, single, hits" in capsys.readouterr().err
    assert run([*words[:-1], "movie", "--keep-shots", "single"]) == 2
    assert "keep_shots: shots are judged in a stack of single objects; this measurement is a movie" in (
        capsys.readouterr().err
    )
