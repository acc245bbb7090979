"""Thirty hostile names in every place of a study where a name can stand, and in files and the environment: none runs."""

from __future__ import annotations

import os
import re
import shlex
import subprocess

import h5py
import numpy as np
import pytest
import yaml
from test_workflow import snakemake

from cdipipe.errors import InputError
from cdipipe.settings import validate
from cdipipe.study.config import check_config
from cdipipe.study.tree import Config

HOSTILE = [
    "x; touch PWNED",
    "x && touch PWNED",
    "x || touch PWNED",
    "x | touch PWNED",
    "x & touch PWNED",
    "$(touch PWNED)",
    "`touch PWNED`",
    "${IFS}touch${IFS}PWNED",
    "$((1+1))",
    "a > PWNED",
    "a >> PWNED",
    "a < /dev/zero",
    "<(touch PWNED)",
    "'; touch PWNED; '",
    '"; touch PWNED; "',
    "\\'; touch PWNED #",
    "'\"'\"'; touch PWNED; '",
    "a b c",
    "*",
    "?[a-z]!",
    "~root",
    "#x",
    "!touch PWNED",
    "%PATH% %s %d",
    "$HOME",
    "--output=PWNED",
    "a=b",
    "\u65e5\u672c \u00e9\u0301 \u202e",
    "{touch,PWNED}",
    "a\nb; touch PWNED",
]
"""Braces, line breaks and a dash at the beginning cannot be in names of files of a workflow."""
FILES = [name.replace("/", ":") for name in HOSTILE if not re.match(r"-|.*[{}]|.*\n", name)]
STUDY = {
    "output": "out",
    "measurements": {"one": {"scene": "polygons", "set": {"size": 32, "photons": 1e5}}},
    "methods": {"er": {"method": "er", "iterations": 5}},
    "keep_runs": False,
}
SECTIONS = {
    "measurements": STUDY["measurements"]["one"],
    "methods": STUDY["methods"]["er"],
    "corpora": {"scene": "polygons", "count": 8, "set": {"size": 32}},
    "networks": {"network": "cdi_nn", "corpus": "c"},
    "tables": {"metric": "r_factor", "columns": {"1": "one"}},
    "galleries": {"rows": {"1": "one"}},
    "distributions": {"metric": "r_factor", "measurements": ["one"]},
}
NAMES = {
    "of a column": lambda name: {"tables": {"t": {"metric": "r_factor", "columns": {"1": name}}}},
    "of a row": lambda name: {"galleries": {"g": {"rows": {"1": name}}}},
    "of a pair": lambda name: {"reconstructions": [{"measurements": [name], "methods": ["er"]}]},
    "of a corpus": lambda name: {"networks": {"n": {"network": "cdi_nn", "corpus": name}}},
    "of a metric": lambda name: {"tables": {"t": {"metric": name, "columns": {"1": "one"}}}},
    "of a scene": lambda name: {"measurements": {"one": {"scene": name}}},
    "of a method": lambda name: {"methods": {"er": {"method": name}}},
    "of a sequence": lambda name: {"methods": {"er": {"sequence": name}}},
    "of a step": lambda name: {"methods": {"er": {"steps": [{name: {}}]}}},
    "of a network": lambda name: {"networks": {"n": {"network": name, "corpus": "c"}}},
    "of a data set": lambda name: {"measurements": {"one": {"fetch": name, "import": {"files": ["a.npy"]}}}},
    "of an export": lambda name: {"measurements": {"one": {"scene": "polygons", "export": [name]}}},
    "of a device": lambda name: {"device": name},
    "of a setting": lambda name: {"measurements": {"one": {"scene": "polygons", "set": {name: 1}}}},
    "of a parameter": lambda name: {"methods": {"er": {"method": "er", name: 1}}},
    "of a key": lambda name: {name: 1},
}


@pytest.mark.parametrize("section", SECTIONS)
def test_entries_are_called_by_letters_and_digits(section):
    for name in HOSTILE:
        with pytest.raises(InputError) as caught:
            validate(Config, STUDY | {section: {**STUDY.get(section, {}), name: SECTIONS[section]}}, "study.yaml")
        assert "study.yaml" in str(caught.value)


@pytest.mark.parametrize("place", NAMES)
def test_what_is_chosen_by_name_must_exist(place):
    for name in HOSTILE:
        if name == "*" and place in ("of a column", "of a pair"):
            continue  # there it stands for all names
        with pytest.raises(InputError, match=r"study\.yaml"):
            check_config(STUDY | NAMES[place](name), "study.yaml")


def hostile_study(folder) -> tuple[dict, list[list[str]]]:
    """A study with a hostile name in each place that takes any text, and the words that commands must be given."""
    measurements, words = {}, []
    for number, name in enumerate(FILES):
        for suffix in (".npy", "mask.npy", ".h5"):
            (folder / f"{name}{suffix}").write_bytes(b"counts")  # never read: the commands are not cdipipe's
        key = HOSTILE[-1 - number % 2] if number % 3 == 0 else name
        given = {"files": [f"{name}.h5::{key}"], "mask": f"{name}mask.npy", "dark": f"{name}.npy"}
        measurements[f"i{number}"] = {"import": given}
        words.append([f"{name}.h5::{key}", f"--mask={name}mask.npy", f"--dark={name}.npy"])
    networks, methods = {}, dict(STUDY["methods"])
    for number, name in enumerate(HOSTILE):
        shown = yaml.safe_dump(name, allow_unicode=True)
        networks[f"n{number}"] = {"network": "cdi_nn", "corpus": "c", "set": {"start_from": name}}
        methods[f"m{number}"] = {"method": "cdi_nn", "checkpoint": name}
        assert shown
    titled = dict(zip(HOSTILE, measurements, strict=False))
    study = STUDY | {
        "output": f"res/{FILES[0]}/{FILES[5]} {FILES[13]}",
        "measurements": measurements | STUDY["measurements"],
        "methods": methods,
        "corpora": {"c": SECTIONS["corpora"]},
        "networks": networks,
        "tables": {"t": {"metric": "r_factor", "title": HOSTILE[5], "columns": titled, "methods": ["er"]}},
        "galleries": {"g": {"rows": titled, "title": HOSTILE[6], "methods": ["er"]}},
        "reconstructions": [{"measurements": [*measurements, "one"], "methods": list(methods)}],
    }
    return study, words


STUB = """#!/bin/bash
printf '%s\\0' "$@" >> "$SEEN"; printf '\\1\\0' >> "$SEEN"
"""


def commands_printed(text: str) -> list[str]:
    """Shell commands that Snakemake prints, those of several lines whole."""
    return [
        part.strip()
        for part in re.findall(r"^Shell command: (.*?)(?=^\S*\[?\w{3} \w{3} |^Job stats|\Z)", text, re.M | re.S)
    ]


def test_each_reaches_its_command_as_one_word_and_nothing_else_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("CDIPIPE_DATA_DIR", "$(touch PWNED); touch PWNED")
    monkeypatch.setenv("XDG_CACHE_HOME", f"{tmp_path}/`touch PWNED`")
    study, words = hostile_study(tmp_path)
    path = tmp_path / "a 'study'; touch PWNED.yaml"
    path.write_text(yaml.safe_dump(study, allow_unicode=True))
    code, text = snakemake(tmp_path, path, "-n", "--printshellcmds")
    assert code == 0, text[-3000:]
    script = tmp_path / "all.sh"
    begins = ("cdipipe ", "set ")
    commands = [line.strip() for line in re.split(r"^Shell command: ", text, flags=re.M)[1:]]
    assert commands or "cdipipe" in text
    raise SystemExit(text[:6000])
