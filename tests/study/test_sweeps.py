"""``sweep:`` of a method: a method per value, a gallery, and a curve of the free likelihood."""

from __future__ import annotations

import json

import numpy as np
import pytest

from cdipipe.errors import InputError
from cdipipe.settings import load_yaml
from cdipipe.study.config import check_config
from cdipipe.study.drawing import draw
from cdipipe.study.sweeps import Range

STUDY = """
output: out
measurements:
  weak: {scene: polygons, set: {size: 32}}
  strong: {scene: polygons, seed: 2, set: {size: 32}}
methods:
  er: {method: er}
  hio_{beta}: {method: hio, iterations: 9, sweep: {beta: {from: 0.5, to: 1.0, count: 3}}}
"""


def study(methods: str = "", more: str = ""):
    """The study above with other methods or more keys."""
    found = load_yaml(STUDY, "s") | (load_yaml(more, "s") or {})
    return check_config(found | ({"methods": load_yaml(methods, "m")} if methods else {}), "s")


def test_a_sweep_is_a_method_per_value_and_two_figures():
    config = study()
    assert [config.methods[f"hio_{name}"]["beta"] for name in ("0p5", "0p75", "1")] == [0.5, 0.75, 1.0]
    assert config.methods["hio_0p5"] == {"method": "hio", "iterations": 9, "beta": 0.5}
    sweep, gallery = config.sweeps["hio_beta"], config.galleries["hio_beta_pictures"]
    assert sweep.methods == gallery.methods == ["hio_0p5", "hio_0p75", "hio_1"]
    assert sweep.values == [0.5, 0.75, 1.0] and list(gallery.rows.values()) == ["weak", "strong"]
    assert list(config.drawn()) == ["hio_beta_pictures", "hio_beta"]
    assert len(config.pairs_of(sweep)) == 6


def test_only_what_is_swept_withholds_blocks_unless_the_study_says_how():
    plain, swept = study().options("reconstruct", "weak", "er"), study().options("reconstruct", "weak", "hio_1")
    assert not any("free" in option for option in plain)
    assert {"--free-fraction=0.05", "--free-block-px=0"} <= set(swept)
    said = study(more="free_fraction: 0.1").options("reconstruct", "weak", "hio_1")
    assert "--free-fraction=0.1" in said and not any("block" in option for option in said)


@pytest.mark.parametrize(
    ("ends", "values"),
    [
        ({"from": 0.01, "to": 1.0, "count": 3, "spacing": "log"}, [0.01, 0.1, 1.0]),
        ({"from": 2, "to": 32, "count": 5, "spacing": "log"}, [2, 4, 8, 16, 32]),
        ({"from": 1, "to": 3, "count": 9}, [1, 2, 3]),
        ({"from": 0.0, "to": 1.0, "count": 4}, [0, 0.3333, 0.6667, 1]),
    ],
)
def test_ranges(ends, values):
    assert Range.model_validate(ends).values() == values


@pytest.mark.parametrize(
    ("sweep", "complaint"),
    [
        ("{beta: [0.7, 0.9], iterations: [5, 6]}", "expected one key with its values"),
        ("{beta: [0.7]}", "1 values; a sweep has two or more"),
        ("{beta: 0.7}", "expected a list of values"),
        ("{betta: [0.7, 0.9]}", "did you mean 'beta'"),
        ("{beta: {from: 0.9, to: 0.5, count: 3}}", "larger number last"),
        ("{beta: {from: 0.0, to: 0.5, count: 3, spacing: log}}", "begins above 0"),
        ("{beta: {from: 0.1, to: 0.5, steps: 3}}", "unknown key 'steps'"),
        ("{beta: [0.7, 0.9]}, grid: {iterations: [5]}", "a grid or a sweep, not both"),
    ],
)
def test_slips_are_named(sweep, complaint):
    with pytest.raises(InputError, match=complaint) as told:
        study(f"hio: {{method: hio, sweep: {sweep}}}")
    assert "methods.hio" in str(told.value)


def write_metrics(folder, config, name: str, scores: dict):
    for (measurement, method), score in scores.items():
        place = folder / config.output / measurement / method
        place.mkdir(parents=True)
        (place / "metrics.json").write_text(json.dumps({name: score}))


def test_the_curve_rings_the_lowest_free_likelihood_of_every_measurement(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = study()
    pairs = config.pairs_of(config.sweeps["hio_beta"])
    write_metrics(tmp_path, config, "poisson_nll_free", dict(zip(pairs, (3, 1, 2, 50, 60, 40.0), strict=True)))
    figure, values = draw(config, "hio_beta", "s")
    assert "weak\t0.75\tpoisson_nll_free\t1" in values and "correlation" not in values
    (axes,) = figure.axes
    rings = [line.get_xydata()[0].tolist() for line in axes.lines if line.get_markersize() == 11]
    assert rings == [[0.75, 1.0], [1.0, 40.0]] and axes.get_yscale() == "log"


def test_values_that_are_no_numbers_stand_side_by_side(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = study("er: {method: er, sweep: {constraint: [support, quadrant]}}")
    assert config.sweeps["er_constraint"].values == ["support", "quadrant"]
    pairs = config.pairs_of(config.sweeps["er_constraint"])
    write_metrics(tmp_path, config, "poisson_nll_free", dict.fromkeys(pairs, 1.0))
    figure, _ = draw(config, "er_constraint", "s")
    assert [text.get_text() for text in figure.axes[0].get_xticklabels()] == ["support", "quadrant"]
    assert np.isfinite(figure.axes[0].lines[0].get_ydata()).all()


def test_without_withheld_pixels_the_curve_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = study()
    write_metrics(tmp_path, config, "r_factor", dict.fromkeys(config.pairs_of(config.sweeps["hio_beta"]), 0.1))
    with pytest.raises(InputError, match="no result has a free likelihood"):
        draw(config, "hio_beta", "s")
