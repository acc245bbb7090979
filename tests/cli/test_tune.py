"""``cdipipe tune``: a recipe that ``reconstruct`` takes, a record, a picture; it goes on, and says what is wrong."""

from __future__ import annotations

import json

import pytest
import yaml

from cdipipe.io.cxi import read_reconstruction


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    import cdipipe.api as cdi

    path = tmp_path_factory.mktemp("tune") / "M.cxi"
    cdi.save(path, cdi.simulate("polygons", size=32, photons=3e3, seed=3))
    return path


def test_writes_a_recipe_a_record_and_a_picture_and_goes_on(cli, measured, tmp_path):
    best, picture = tmp_path / "best.yaml", tmp_path / "tried.png"
    few = ("--budget", 20, "--sets", 2, "--fresh-sets", 2, "--finalists", 1, "--over", "shrink_wrap.threshold")
    words = ("tune", measured, "-m", "hio", "--set", "iterations=20", "--restarts", 2, *few, "-o", best)
    told = cli(*words, "--picture", picture)
    assert told.code == 0 and (": default: " in told.out or ": tuned: " in told.out)
    assert picture.read_bytes()[:4] == b"\x89PNG"
    recipe, record = yaml.safe_load(best.read_text()), json.loads(best.with_suffix(".json").read_text())
    assert recipe == record["recipe"] and recipe["iterations"] == 20 and recipe["restarts"] == 2
    assert len(record["trials"]) == 7 and record["defaults"] == {"shrink_wrap.threshold": 0.1}
    lines = best.with_suffix(".trials").read_text().splitlines()
    assert cli(*words).code == 0 and json.loads(best.with_suffix(".json").read_text())["trials"] == record["trials"]
    assert (
        len(best.with_suffix(".trials").read_text().splitlines()) == len(lines) + 1
    )  # it was opened, nothing was tried
    result = tmp_path / "R.cxi"
    assert cli("reconstruct", measured, "--recipe", best, "-o", result).code == 0
    found = read_reconstruction(result).recipe["shrink_wrap"]["threshold"]
    assert found == record["settings"].get("shrink_wrap.threshold", 0.1)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("-m", "hio", "--over", "betta"), "did you mean 'beta'"),
        (("-m", "hio", "--budget", "9"), "greater than or equal to 16"),
        (("-m", "hio", "--budget", "30"), "expected at least 42"),
        (("-m", "hio", "--recipe", "x.yaml"), "not both"),
        (("-m", "hiho"), "did you mean 'hio'"),
    ],
)
def test_slips_are_named(cli, measured, tmp_path, words, complaint):
    assert complaint in cli("tune", measured, *words, "-o", tmp_path / "best.yaml").complaint


def test_the_output_is_a_yaml_file(cli, measured, tmp_path):
    assert "ends in .yaml" in cli("tune", measured, "-m", "hio", "-o", tmp_path / "best.json").complaint
