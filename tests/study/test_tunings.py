"""``tune:`` of a method: its settings are chosen by a job before it runs."""

from __future__ import annotations

import pytest

from cdipipe.cli.reconstruct import load_recipe
from cdipipe.errors import InputError
from cdipipe.settings import load_yaml
from cdipipe.study.config import check_config

STUDY = """
output: out
restarts: 3
measurements: {one: {scene: polygons, set: {size: 32}}}
methods:
  hio: {method: hio, iterations: 9}
  hio_tuned: {method: hio, iterations: 9, tune: {budget: 60, over: [beta, shrink_wrap.every]}}
  raar: {method: raar, tune: }
"""


def test_what_is_tuned_stands_apart_from_the_recipe(tmp_path):
    config = check_config(load_yaml(STUDY, "s"), "s")
    assert list(config.tunings) == ["hio_tuned", "raar"]
    assert config.methods["hio_tuned"] == config.methods["hio"]
    options = config.options("tune", "one", "hio_tuned")
    assert {"--budget=60", "--over=beta,shrink_wrap.every", "--seed=0", "--restarts=3"} <= set(options)
    assert not any("budget" in option for option in config.options("tune", "one", "raar"))
    path = tmp_path / "study.yaml"
    path.write_text(STUDY)
    assert load_recipe(f"{path}::methods.hio_tuned") == {"method": "hio", "iterations": 9}


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        ("{over: [betta]}", "did you mean 'beta'"),
        ("{budget: 9}", "methods|tunings"),
        ("{budgett: 90}", "did you mean 'budget'"),
        ("{over: [iterations]}", "the recipe sets it"),
    ],
)
def test_slips_are_named(said, complaint):
    study = load_yaml(STUDY, "s")
    study["methods"] = {"hio": {"method": "hio", "iterations": 9, "tune": load_yaml(said, "t")}}
    with pytest.raises(InputError, match=complaint):
        check_config(study, "s")
