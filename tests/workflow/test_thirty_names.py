"""Thirty hostile names in each place of a study where a name can stand, in files and the environment: none runs."""

from __future__ import annotations

import json
import os
import re
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
    """A study with a hostile name in each place that takes any text, and words that commands must be given."""
    measurements, networks, methods, words = {}, {}, dict(STUDY["methods"]), []
    for number, name in enumerate(FILES):
        for suffix in (".npy", "mask.npy", ".h5"):
            (folder / f"{name}{suffix}").write_bytes(b"counts")  # never read: the commands are not cdipipe's
        key = HOSTILE[-1 - number % 2] if number % 3 == 0 else name
        given = {"files": [f"{name}.h5::{key}"], "mask": f"{name}mask.npy", "dark": f"{name}.npy"}
        measurements[f"i{number}"] = {"import": given}
        words.append([f"{name}.h5::{key}", f"--mask={name}mask.npy", f"--dark={name}.npy"])
    for number, name in enumerate(HOSTILE):
        networks[f"n{number}"] = {"network": "cdi_nn", "corpus": "c", "set": {"start_from": name}}
        methods[f"m{number}"] = {"method": "cdi_nn", "checkpoint": name}
        words.append([f"--set=start_from={json.dumps(name)}"])
    strain = {"lattice": HOSTILE[5], "toward": [1, 0, 0]}
    study = STUDY | {
        "output": f"res/{FILES[0]}/{FILES[5]} {FILES[12]}",
        "measurements": measurements | STUDY["measurements"] | {"b": {"scene": "bragg", "strain": strain}},
        "methods": methods,
        "corpora": {"c": SECTIONS["corpora"]},
        "networks": networks,
        "tables": {"t": {"metric": "r_factor", "title": HOSTILE[5], "columns": dict.fromkeys(HOSTILE, "one")}},
        "galleries": {"g": {"rows": dict.fromkeys(HOSTILE, "one"), "title": HOSTILE[6]}},
        "reconstructions": [{"measurements": [*measurements, "b"], "methods": ["er"]}, {"measurements": ["one"]}],
    }
    return study, [*words, [f"--lattice={HOSTILE[5]}"]]


STUB = """#!/bin/bash
printf '%s\\0' "$@" >> "$SEEN"
printf '\\1\\0' >> "$SEEN"
"""
PRINTED = re.compile(r"^Shell command: (.*?)\n(?=\n)", re.MULTILINE | re.DOTALL)


def test_each_reaches_its_command_as_one_word_and_nothing_else_runs(tmp_path, monkeypatch):
    """What Snakemake would hand to the shell is handed to it, with a cdipipe that only writes down its words."""
    for name in ("CDIPIPE_DATA_DIR", "XDG_CACHE_HOME", "MPLCONFIGDIR", "LC_MESSAGES", "EDITOR", "PROMPT_COMMAND"):
        monkeypatch.setenv(name, "$(touch PWNED); touch PWNED")
    study, words = hostile_study(tmp_path)
    path = tmp_path / "a 'study'; touch PWNED.yaml"
    path.write_text(yaml.safe_dump(study, allow_unicode=True))
    out, count = study["output"], len(HOSTILE)
    made = [f"{out}/i{number}/M.cxi" for number in range(len(FILES))]
    made += [f"{out}/n{number}/best.pt" for number in range(count)]
    made += [f"{out}/one/m{number}/R.cxi" for number in range(count)]
    made += [f"{out}/b/er/strain.cxi", f"{out}/tables/t.png", f"{out}/tables/g.png"]
    code, text = snakemake(tmp_path, path, "-n", "--printshellcmds", *made)
    assert code == 0, text[-3000:]
    commands = PRINTED.findall(text)
    assert len(commands) > 2 * count + len(FILES)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/cdipipe").write_text(STUB)
    (tmp_path / "bin/cdipipe").chmod(0o755)
    (tmp_path / out / "logs").mkdir(parents=True)
    before = {place for place in tmp_path.rglob("*") if "logs" not in place.parts}
    seen = tmp_path / "bin/seen"
    environment = os.environ | {"PATH": f"{tmp_path}/bin:/usr/bin:/bin", "SEEN": str(seen), "HOME": "$(touch PWNED)"}
    for command in commands:
        subprocess.run(["bash", "-c", command], cwd=tmp_path, env=environment, capture_output=True, timeout=20)
    after = {place for place in tmp_path.rglob("*") if "logs" not in place.parts}
    assert after - before == {seen}
    runs = [run.split("\0") for run in seen.read_bytes().decode().split("\1\0")]
    assert len(runs) == len(commands) + 1
    missing = [each for each in words if not any(set(each) <= set(run) for run in runs)]
    assert missing == []
    recipes = {f"{path.name}::methods.m{number}" for number in range(count)}
    assert recipes <= {word for run in runs for word in run}


def test_names_inside_files_run_nothing(tmp_path, monkeypatch, cli):
    """Texts, attributes and names of groups of a CXI file are data, whatever is done with it."""
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(HOSTILE[3::9]):
        with h5py.File("M.cxi", "w") as file:
            file["entry_1/data_1/data"] = np.random.default_rng(number).poisson(20, (32, 32))
            file["entry_1/instrument_1/name"] = file["entry_1/instrument_1/detector_1/local_name"] = name
            file["entry_1/title"] = file[f"entry_1/{name.replace('/', ':')}"] = name
            for key in ("creator", "units", "stack_", name):
                file["entry_1"].attrs[key] = name
            file["entry_1/process_1/command"] = name
        steps = [
            ("info", "M.cxi"),
            ("import", "M.cxi", "-o", "N.cxi"),
            ("reconstruct", "N.cxi", "-m", "er", "--set", "iterations=2", "-o", "R.cxi"),
        ]
        for step in steps:
            assert cli(*step).code in (0, 2)
    assert not list(tmp_path.rglob("*PWNED*"))
