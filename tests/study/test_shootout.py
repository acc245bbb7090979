"""The comparison of all methods: who takes part where, and what the ranking says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cdipipe.phasing.recipe import recipe_from_mapping
from cdipipe.phasing.registry import all_methods
from cdipipe.simulation.registry import all_scenes
from cdipipe.study.config import check_config, load_config, load_mapping
from cdipipe.study.draw_rankings import ranking_figure
from cdipipe.study.rankings import rank_table, ranking_lines
from cdipipe.study.tables import Table

FILE = str(Path(__file__).parents[2] / "config/shootout.yaml")


@pytest.fixture(scope="module")
def study():
    return load_config(FILE)


def steps_of(study, name):
    return {step for step, _ in recipe_from_mapping(study.methods[name]).steps}


def test_every_method_and_every_scene_takes_part(study):
    used = set().union(*(steps_of(study, name) for name in study.methods))
    assert set(all_methods()) - used == {"unrolled"}  # its weights are for real objects in 128 x 128
    scenes = {entry.scene for entry in study.measurements.values()}
    others = {"crystal": "needs LAMMPS", "bragg": "is judged by its strain", "pictures": "fills its array"}
    assert set(all_scenes()) - scenes == set(others)


def test_pairs_are_those_whose_needs_are_met(study):
    pairs = set(study.pairs())
    assert ("weak_1e6", "hio") in pairs and ("chart_1e7", "mf_pie") in pairs and ("cell_1", "in_situ") in pairs
    assert ("volume_1e7", "cdi_nn_3d") in pairs and ("static_1", "lodip") in pairs
    for absent in (("weak_1e6", "lodip"), ("weak_1e6", "cdi_nn_3d"), ("chart_1e7", "cdi_nn"), ("static_1", "in_situ")):
        assert absent not in pairs
    assert study.lacks("weak_1e6", "dpr") == ["weights"] and study.lacks("cell_1", "mf_pie") == ["probe_modes"]
    assert study.lacks("static_1", "static_unknown") == []
    mapping = load_mapping(FILE)
    mapping["methods"]["dpr"]["checkpoint"] = "mine.pt"
    assert ("weak_1e6", "dpr") in check_config(mapping, FILE).pairs()


def test_both_scales_are_in_order():
    for scale in ("tiny", "paper"):
        study = check_config(load_mapping(FILE) | {"scale": scale}, FILE)
        assert study.output == f"results/shootout_{scale}" and len(study.pairs()) > 90


def table(**changes):
    values = np.array([[0.9, 0.5, np.nan], [0.8, 0.7, 0.9], [0.1, 0.5, 0.3], [np.nan, np.nan, 0.5]])
    count = np.isfinite(values).astype(float)
    fields = {"metric": "complex_correlation", "title": "t", "rows": ["a", "b", "c", "d"], "columns": ["x", "y", "z"]}
    return Table(**fields | {"mean": values, "spread": 0 * values, "count": count, "printed": 0} | changes)


def test_places_and_their_spread():
    ranking = rank_table(table())
    assert ranking.rows == ["b", "a", "d", "c"]
    places = dict(zip(ranking.rows, ranking.place.tolist(), strict=True))
    assert places["b"] == [0.5, 0.0, 0.0] and places["c"] == [1.0, 0.75, 1.0]  # a tie counts half
    assert places["a"][:2] == [0.0, 0.75] and np.isnan(places["a"][2])
    assert ranking.mean[0] == pytest.approx(0.5 / 3) and ranking.spread[0] == pytest.approx(np.std([0.5, 0, 0]))
    assert ranking.count.tolist() == [3, 2, 1, 3] and np.isnan(ranking.spread[2])
    assert rank_table(table(metric="seconds")).rows[-1] == "b"  # less is better
    assert "b\tall\tplace by complex_correlation\t0.166667" in ranking_lines(ranking)


def test_one_competitor_has_no_place_and_the_figure_is_drawn():
    alone = table(rows=["a"], mean=np.array([[0.9, 0.1, 0.2]]), spread=np.zeros((1, 3)), count=np.ones((1, 3)))
    ranking = rank_table(alone)
    assert np.isnan(ranking.place).all() and ranking_lines(ranking) == ""
    texts = {text.get_text() for text in ranking_figure(rank_table(table())).axes[0].texts}
    assert {"0.9", "0.8", "0.1"} <= texts


def test_what_reads_the_same_is_a_tie_and_columns_that_nobody_ran_are_left_out():
    mean = np.array([[0.99991, np.nan, 0.5], [0.99998, np.nan, 0.4996], [0.9, np.nan, 0.7]])
    ranking = rank_table(table(rows=["a", "b", "c"], mean=mean, spread=0 * mean, count=np.isfinite(mean)))
    assert ranking.columns == ["x", "z"]
    places = dict(zip(ranking.rows, ranking.place.tolist(), strict=True))
    assert places["a"] == [0.25, 0.75] and places["c"] == [1.0, 0.0]
    assert places["b"] == [0.25, 0.75]  # 0.4996 reads 0.5


def test_curves_beyond_the_number_of_colours_have_other_marks():
    from cdipipe.figures.canvas import LINES
    from cdipipe.study.draw_tables import table_figure

    count = len(LINES) + 2
    mean = np.linspace(0.1, 0.9, 2 * count).reshape(count, 2)
    parts = {"mean": mean, "spread": 0 * mean, "count": np.ones_like(mean), "axis": "photons"}
    figure = table_figure(table(rows=[f"m{i}" for i in range(count)], columns=[1e4, 1e6], **parts))
    styles = {(line.get_color(), line.get_marker()) for line in figure.axes[0].lines if line.get_marker() in "os^"}
    assert len(styles) == count
