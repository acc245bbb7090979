"""The JSON schema of studies: as the code has it, right about every study here, and against the usual slips."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from jsonschema import Draft7Validator

from cdipipe.cli.main import run
from cdipipe.study.config import load_mapping
from cdipipe.study.schema import study_schema

ROOT = Path(__file__).parents[2]
SCHEMA = ROOT / "workflow/schemas/study.schema.json"
CONFIGS = sorted((ROOT / "config").rglob("*.yaml"))
STUDY = {
    "output": "out",
    "measurements": {"one": {"scene": "polygons", "set": {"size": 64}}, "two": {"import": {"files": ["a.npy"]}}},
    "methods": {
        "named": {"method": "hio", "beta": 0.9, "iterations": 10, "restarts": 2},
        "in_turn": {"sequence": "9*HIO+1*ER", "beta": 0.9},
        "steps": {"steps": [{"hio": {"iterations": 5}}, "er"], "shrink_wrap": {"every": 5}},
    },
}


@pytest.fixture(scope="module")
def validator():
    return Draft7Validator(study_schema())


def faults(validator, study) -> list[str]:
    """Where a study is wrong, as far as the schema tells."""
    return [error.json_path for error in validator.iter_errors(json.loads(json.dumps(study)))]


def test_the_schema_that_is_stored_is_that_of_the_code(tmp_path):
    assert run(["config", "--schema", "-o", str(tmp_path / "now.json")]) == 0
    assert (tmp_path / "now.json").read_text() == SCHEMA.read_text(), (
        "write it anew: cdipipe config --schema -o workflow/schemas/study.schema.json"
    )


def test_it_is_a_schema(validator):
    Draft7Validator.check_schema(validator.schema)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_every_study_here_is_right_and_names_the_schema(validator, config):
    assert faults(validator, load_mapping(config)) == []
    named = re.match(r"# yaml-language-server: \$schema=(\S+)\n", config.read_text())
    assert named and (config.parent / named[1]).resolve() == SCHEMA


def changed(study, key: str, value):
    """The study with a value put at a dotted key."""
    first, _, rest = key.partition(".")
    return {**study, first: changed(study.get(first, {}), rest, value) if rest else value}


@pytest.mark.parametrize(
    "key, value",
    [
        ("ouput", "x"),
        ("restarts", 0),
        ("device", "gpu"),
        ("measurements.one.scene", "polygon"),
        ("measurements.one.set.photns", 1),
        ("measurements.one.set.size", "big"),
        ("measurements.one.set.detector", {"coherence": 3}),
        ("measurements.one.export", ["vtk"]),
        ("measurements.two.import.treshold", 3),
        ("measurements.two.import.stack", "movies"),
        ("measurements.two.fetch", "nothing"),
        ("methods.named.betta", 0.9),
        ("methods.named.method", "hoi"),
        ("methods.named.beta", "strong"),
        ("methods.named.population", 3),
        ("methods.named.shrink_wrap", {"evry": 3}),
        ("methods.in_turn.betta", 0.9),
        ("methods.steps.steps", [{"hio": {"betta": 1}}]),
        ("methods.steps.beta", 0.9),
        ("methods.empty", {"restarts": 2}),
        ("methods.a b", {"method": "hio"}),
        ("corpora", {"many": {"scene": "polygons", "set": {"size": 32}}}),
        ("networks", {"net": {"network": "cdi_nn", "corpus": "many", "set": {"epoch": 1}}}),
        ("tables", {"t": {"metric": "r_facto", "columns": {"1": "one"}}}),
        ("scales", {"tiny": {"measurements": {"one": {"sets": {}}}}}),
        ("scales", {"tiny": {"restart": 1}}),
    ],
)
def test_slips_are_found_while_they_are_written(validator, key, value):
    assert faults(validator, STUDY) == []
    assert faults(validator, changed(STUDY, key, value)) != []


def test_grids_patterns_and_scales_are_right(validator):
    study = changed(STUDY, "measurements.p_{photons}", {"scene": "polygons", "grid": {"photons": [1e4, 1e5]}})
    study = changed(study, "methods.m_{method}", {"iterations": 5, "grid": {"method": ["hio", "er"]}})
    study = changed(study, "reconstructions", [{"measurements": ["p_*"], "methods": ["m_*"]}])
    study = changed(study, "tables", {"t": {"metric": "r_factor", "columns": ["p_*"]}})
    study = changed(
        study, "scales", {"tiny": {"measurements": {"p_*": {"set": {"size": 32}}}, "methods": {"m_er": {}}}}
    )
    assert faults(validator, study) == []


def test_numbers_may_be_text_with_commas_where_the_command_line_takes_them(validator):
    for value in (2, [1, 2, 2], "1,2,2"):
        assert faults(validator, changed(STUDY, "measurements.two.import.bin", value)) == []


def test_entries_tell_what_they_are_with_units_and_defaults(validator):
    definitions = validator.schema["definitions"]
    options = definitions["ImportEntry"]["properties"]
    assert options["energy_ev"]["description"] == "photon energy in eV"
    assert options["corner"]["default"] is False
    untold = [
        f"{kind}.{name}"
        for kind in ("MeasurementEntry", "CorpusEntry", "NetworkEntry", "TableEntry", "GalleryEntry", "Recipe")
        for name, entry in definitions[kind]["properties"].items()
        if "description" not in entry and "$ref" not in entry and "anyOf" not in entry
    ]
    assert untold == []
    assert all("description" in entry for entry in validator.schema["properties"].values())


def test_the_command_says_what_it_needs(capsys):
    assert run(["config"]) == 2 and "or --schema" in capsys.readouterr().err
    assert run(["config", "a.yaml", "--schema"]) == 2 and "goes without a file" in capsys.readouterr().err
