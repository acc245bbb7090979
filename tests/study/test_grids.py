"""``grid:`` and patterns: many entries of a study from a few lines, and how slips in them are named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from cdipipe.cli.reconstruct import load_recipe
from cdipipe.errors import InputError
from cdipipe.settings import load_yaml
from cdipipe.study.config import check_config
from cdipipe.study.grids import MOST_ENTRIES, value_name
from cdipipe.study.scales import at_scale

ROOT = Path(__file__).parents[2]
CONFIGS = sorted((ROOT / "config").rglob("*.yaml"))

STUDY = """
output: results/x
measurements:
  polygons:
    scene: polygons
    set: {size: 64}
    grid: {photons: [1e4, 1e5], seed: [1, 2, 3]}
  plain: {scene: polygons, seed: 9}
methods:
  hio_{beta}: {method: hio, grid: {beta: [0.7, 0.9]}}
  er: {method: er}
"""


def study(text: str = "", base: str = STUDY) -> dict:
    """The study above with more keys."""
    return load_yaml(base, "s") | (load_yaml(text, "s") or {})


def measurements(text: str) -> dict:
    return check_config(study(f"measurements:\n  {text}"), "s").measurements


def test_a_grid_is_all_products_of_its_values_the_last_key_fastest():
    found = check_config(study(), "s").measurements
    assert list(found) == [f"polygons_{photons}_{seed}" for photons in ("1e4", "1e5") for seed in (1, 2, 3)] + ["plain"]
    assert found["polygons_1e5_2"].set == {"size": 64, "photons": 1e5} and found["polygons_1e5_2"].seed == 2


def test_the_name_may_say_where_the_values_go():
    found = measurements("a{photons}-{seed}x: {scene: polygons, grid: {photons: [1e4, 3.0e7], seed: [5]}}")
    assert list(found) == ["a1e4-5x", "a3e7-5x"]


def test_whole_numbers_in_a_row_are_a_range():
    found = measurements("m: {scene: polygons, grid: {seed: [3..5, 9]}}")
    assert list(found) == ["m_3", "m_4", "m_5", "m_9"] and found["m_4"].seed == 4


@pytest.mark.parametrize(
    ("name", "value"),
    {
        "1e4": 1e4, "1000": 1000, "1e3": 1e3, "100": 100.0, "15000": 15e3, "2p5e6": 2.5e6, "0p1": 0.1, "1e-9": 1e-9,
        "0": 0.0, "-0p5": -0.5, "true": True, "emnist": "emnist",
    }.items(),
)  # fmt: skip
def test_values_have_short_names(name, value):
    assert value_name(value) == name


def test_labels_name_values_that_have_no_name_and_null_leaves_the_entry_as_it_is():
    text = """
    m{mask}:
      scene: polygons
      set: {detector: {mask: {dead_share: 0.2}}}
      grid: {detector.mask: {"": null, _square: {central_square_px: 4}}}
    """
    found = measurements(text.strip().replace("\n    ", "\n  "))
    assert found["m"].set == {"detector": {"mask": {"dead_share": 0.2}}}
    assert found["m_square"].set == {"detector": {"mask": {"dead_share": 0.2, "central_square_px": 4}}}


def test_methods_corpora_and_networks_take_a_grid_too():
    text = """
    corpora:
      c: {scene: polygons, count: 8, set: {size: 32}, grid: {seed: [1, 2], phase_range_rad: [1.0, random]}}
    networks:
      "{corpus}_net": {network: cdi_nn, set: {epochs: 1}, grid: {corpus: [c_1_1, c_2_random]}}
    methods:
      "{checkpoint}": {method: cdi_nn, grid: {checkpoint: [c_1_1_net, c_2_random_net]}}
    """
    found = check_config(study(text), "s")
    assert found.corpora["c_2_random"].options()[3:] == ["--seed=2", "--set=size=32", '--set=phase_range_rad="random"']
    assert found.networks["c_2_random_net"].corpus == "c_2_random"
    assert found.checkpoint("c_1_1_net") == "results/x/c_1_1_net/best.pt"


def test_a_recipe_of_a_grid_is_found_by_its_name(tmp_path):
    (tmp_path / "s.yaml").write_text(STUDY)
    assert load_recipe(f"{tmp_path}/s.yaml::methods.hio_0p9") == {"method": "hio", "beta": 0.9}


def test_patterns_stand_for_names_wherever_a_study_names_its_entries():
    text = """
    reconstructions:
      - {measurements: ["*_1e4_*"], methods: [er, "hio_*"]}
      - {measurements: [plain], methods: [er]}
    tables:
      t: {metric: r_factor, methods: ["hio_0p?"], columns: {low: "polygons_1e4_*", plain: plain}}
      all: {metric: r_factor, columns: [plain, "polygons_1e4_*"]}
    galleries:
      g: {rows: ["polygons_1e4_?"]}
    distributions:
      d: {metric: r_factor, measurements: ["*_1e4_1", plain], methods: ["hio*"]}
    """
    found = check_config(study(text), "s")
    low = ["polygons_1e4_1", "polygons_1e4_2", "polygons_1e4_3"]
    methods = ["er", "hio_0p7", "hio_0p9"]
    assert found.pairs() == [(m, r) for m in low for r in methods] + [("plain", "er")]
    assert found.tables["t"].columns == {"low": low, "plain": "plain"}
    assert found.tables["t"].methods == ["hio_0p7", "hio_0p9"]
    assert list(found.tables["all"].columns) == ["plain", "polygons 1e4 1", "polygons 1e4 2", "polygons 1e4 3"]
    assert found.galleries["g"].rows == {name.replace("_", " "): name for name in low}
    assert found.distributions["d"].measurements == ["polygons_1e4_1", "plain"]
    assert found.distributions["d"].methods == ["hio_0p7", "hio_0p9"]


def test_a_scale_changes_all_that_a_pattern_matches_and_its_later_lines_win():
    text = """
    scale: tiny
    scales:
      tiny:
        measurements: {"polygons_*": {set: {size: 32}}, polygons_1e4_2: {set: {size: 16}}}
        methods: {"hio_*": {iterations: 3}}
    """
    found = check_config(study(text), "s")
    sizes = {name: entry.set.get("size") for name, entry in found.measurements.items()}
    assert sizes.pop("polygons_1e4_2") == 16 and sizes.pop("plain") is None and set(sizes.values()) == {32}
    assert found.methods["hio_0p7"] == {"method": "hio", "beta": 0.7, "iterations": 3}


def test_what_the_config_command_prints_is_the_same_study_again(cli, tmp_path):
    for path in CONFIGS:
        for scale in load_yaml(path.read_text(), str(path)).get("scales", {"": None}):
            copy = tmp_path / "copy.yaml"
            assert cli("config", path, *(["--scale", scale] if scale else []), "-o", copy).code == 0
            assert yaml.safe_load(cli("config", copy).out) == yaml.safe_load(copy.read_text())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("photonz: [1e4]", "s: measurements.m_1e4.set.photonz: unknown key 'photonz' (did you mean 'photons'?)"),
        ("photons: 1e4", "s: measurements.m.grid.photons: expected a list of values, or labels with values"),
        ("photons: []", "measurements.m.grid.photons: expected a list of values"),
        ("seed: [1..99999999]", "m.grid.seed: 1..99999999 are 99,999,999 values; expected 1 to 10,000"),
        ("seed: [5..4]", "m.grid.seed: 5..4 are 0 values"),
        ("size: [[32, 64]]", "measurements.m.grid.size: [32, 64] has no name; give labels"),
        (
            "seed: [1, 1]",
            "s: measurements: 'm' and 'm' both give 'm_1'; the name must tell them apart, for example by {se",
        ),
    ],
)
def test_a_slip_in_a_grid_is_named_in_one_line(text, said):
    with pytest.raises(InputError) as caught:
        measurements(f"m: {{scene: polygons, grid: {{{text}}}}}")
    assert said in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "measurements: {m: {scene: polygons, grid: [1]}}",
            "s: measurements.m.grid: expected keys with lists of values",
        ),
        (
            "measurements: {'m_{sed}': {scene: polygons, grid: {seed: [1]}}}",
            "'{sed}' is no key of its grid; there are seed",
        ),
        ("measurements: {'m_{seed}': {scene: polygons}}", "s: measurements.m_{seed}: no grid says what {seed} is"),
        ("measurements: {m_1: {scene: cell}, m: {scene: cell, grid: {seed: [1]}}}", "'m_1' and 'm' both give 'm_1'"),
        (
            "methods: {m: {method: hio, grid: {betta: [0.9]}}}",
            "s: methods.m_0p9.betta: unknown key 'betta' (did you mean 'beta'?)",
        ),
        ("reconstructions: [{measurements: ['round*']}]", "reconstructions[0].measurements: nothing matches 'round*'"),
        (
            "tables: {t: {metric: chi2, columns: ['x*']}}",
            "s: tables.t.columns: nothing matches 'x*'; there are polygons_1e4_1",
        ),
        ("tables: {t: {metric: chi2, columns: [plain], grid: {}}}", "unknown key 'grid'"),
        ("scales: {a: {methods: {'x*': {}}}}\nscale: a", "s: scales.a.methods: nothing matches 'x*'"),
        ("scales: {a: 3}\nscale: a", "s: scales.a: expected what to change"),
    ],
)
def test_a_slip_in_a_name_is_named_in_one_line(text, said):
    with pytest.raises(InputError) as caught:
        check_config(study(text), "s")
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_a_grid_of_too_many_is_refused_before_it_is_built():
    many = {"photons": list(range(MOST_ENTRIES)), "seed": list(range(10**4))}
    with pytest.raises(
        InputError, match="s: measurements: the grids give 100,000,000 entries; expected at most 10,000"
    ):
        check_config(study() | {"measurements": {"m": {"scene": "polygons", "grid": many}}}, "s")


def test_a_grid_that_nobody_multiplied_out_is_not_ignored():
    from cdipipe.study.tree import Config

    with pytest.raises(ValueError, match="not multiplied out"):
        Config.model_validate(study())


def test_recorded_results_are_of_measurements_and_methods_that_the_studies_have():
    records = sorted((ROOT / "benchmarks/results").glob("study_*_*.json"))
    assert len(records) > 8
    for record in records:
        name, _, scale = record.stem.removeprefix("study_").rpartition("_")
        file = next((path for path in CONFIGS if path.stem == name), None)
        if file is None:
            continue
        found = check_config(at_scale(load_yaml(file.read_text(), name), name, scale), name)
        for title, rows in json.loads(record.read_text())["tables"].items():
            entry = found.tables.get(title.partition(":")[0])
            if entry is None:
                continue
            known = set(found.methods) | {f"{row} (printed)" for row in entry.printed}
            assert set(rows) <= known, (record, title)
            headings = {str(heading) for heading in entry.columns}
            columns = {column for row, cells in rows.items() for column in cells if column != "all"}
            assert columns <= headings, (record, title)
