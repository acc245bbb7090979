"""Names of folders and files never run commands: they stand in quotes, or are refused before any job starts."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import yaml
from test_workflow import ROOT, snakemake

from cdipipe.errors import InputError
from cdipipe.study.config import check_config
from cdipipe.study.run import check_before_run

STUDY = {
    "output": "out",
    "measurements": {"one": {"scene": "polygons", "set": {"size": 32, "photons": 1e5}}},
    "methods": {"er": {"method": "er", "iterations": 5}},
    "keep_runs": False,
}
TAKEN = {
    "two words": "two words",
    "x; touch PWNED": "x; touch PWNED",
    "x && touch PWNED": "x && touch PWNED",
    "x | touch PWNED": "x | touch PWNED",
    "$(touch PWNED)": "$(touch PWNED)",
    "`touch PWNED`": "`touch PWNED`",
    "$HOME": "$HOME",
    "it's": "it's",
    'a "b" c': 'a "b" c',
    "back\\slash": "back\\slash",
    "stars*": "stars*",
    "what?": "what?",
    "[a-z]": "[a-z]",
    "#5 !x %d ~": "#5 !x %d ~",
    "a > b < c &": "a > b < c &",
    "d\N{LATIN SMALL LETTER E WITH ACUTE}tecteur \N{CJK UNIFIED IDEOGRAPH-65E5}": "d\xe9tecteur \u65e5",
    "../beside": "../beside",
    "a//b/./c/": "a/b/c",
    "a/../b": "b",
    "/tmp/absolute": "/tmp/absolute",
    "~/results": f"{os.environ['HOME']}/results",
    "a::b": "a::b",
    "n" * 255: "n" * 255,
}
REFUSED = {
    "results/{x}": "braces stand for a wildcard",
    "results/}": "braces stand for a wildcard",
    "two\nlines": "a line break",
    "bell\a": "not printed",
    "half \ud800": "not printed",
    "nul\0": "not printed",
    "n" * 256: "more than 255 bytes",
    "long/" * 700: "more than 3000 bytes",
    "-rf": "begins with a dash",
    "./-rf": "begins with a dash",
    " blank": "begins or ends with a blank",
    "blank ": "begins or ends with a blank",
    "~nobody_of_this_name/x": "none of this name",
    ".": "a folder of the study's own",
    "..": "a folder of the study's own",
    "/": "a folder of the study's own",
    "": "a folder of the study's own",
}


def short(name: str) -> str:
    return ascii(name)[:30]


@pytest.mark.parametrize("name", TAKEN, ids=short)
def test_an_output_folder_is_taken_as_it_is_called(name):
    assert check_config(STUDY | {"output": name}, "study.yaml").output == TAKEN[name]


@pytest.mark.parametrize("name", REFUSED, ids=short)
def test_an_output_folder_is_refused_by_name(name):
    with pytest.raises(InputError, match=rf"^study\.yaml\.output: .*{REFUSED[name]}") as caught:
        check_config(STUDY | {"output": name}, "study.yaml")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [name for name in REFUSED if name.strip("./") and "~" not in name], ids=short)
def test_a_file_to_import_is_refused_by_name(name):
    study = STUDY | {"measurements": {"one": {"import": {"files": [f"{name}x" if name == "./-rf" else name]}}}}
    with pytest.raises(InputError, match=r"^study\.yaml: measurements\.one\.import: "):
        check_before_run(check_config(study, "study.yaml"), "study.yaml")


@pytest.mark.parametrize("name", ["{study}.yaml", "a::b.yaml", "two\nlines.yaml", "-f.yaml"], ids=short)
def test_the_file_of_a_study_is_refused_by_name(name):
    with pytest.raises(InputError, match="rename it"):
        check_before_run(check_config(STUDY, "study.yaml"), name)


@pytest.mark.parametrize("option", ["mask", "dark", "whitefield", "probe"])
def test_every_option_that_names_a_file_is_looked_at(option, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("counts.npy", np.ones((32, 32)))
    study = STUDY | {"measurements": {"one": {"import": {"files": ["counts.npy"], option: "{x}.npy::key"}}}}
    with pytest.raises(InputError, match=r"\{x\}\.npy: braces"):
        check_before_run(check_config(study, "study.yaml"), "study.yaml")


def names_of_one_folder() -> list[str]:
    return [name for name in TAKEN if "/" not in name and "::" not in name and len(name) < 200]


def test_files_reach_the_command_as_they_are_called(tmp_path):
    """One dry run of as many measurements as there are names, each with its file."""
    names = names_of_one_folder()
    measurements = {f"m{i}": {"import": {"files": [f"{name}.npy"]}} for i, name in enumerate(names)}
    for name in names:
        np.save(tmp_path / f"{name}.npy", np.ones((32, 32), np.int32))
    study = tmp_path / "study.yaml"
    study.write_text(yaml.safe_dump(STUDY | {"measurements": measurements}, allow_unicode=True))
    code, text = snakemake(tmp_path, study, "-n", "--printshellcmds")
    assert code == 0, text
    lines = re.findall(r"^.*(cdipipe import .*)$", text, re.M)
    commands = {arguments[4].split("/")[1]: arguments[2] for arguments in map(shlex.split, lines)}
    assert commands == {f"m{i}": f"{name}.npy" for i, name in enumerate(names)}


def test_numbered_files_and_patterns_are_inputs_one_by_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number in (1, 2, 10):
        np.save(f"frame_{number}.npy", np.ones((32, 32)))
    files = ["frame_1.npy", "frame_2.npy", "frame_10.npy"]
    for pattern in ("frame_*.npy", "frame_%d.npy"):
        study = STUDY | {"measurements": {"one": {"import": {"files": [pattern], "stack": "shots"}}}}
        assert check_config(study, "study.yaml").sources("one") == files
    missing = STUDY | {"measurements": {"one": {"import": {"files": ["none_*.npy"]}}}}
    with pytest.raises(InputError, match=r"none_\*\.npy: no such file"):
        check_before_run(check_config(missing, "study.yaml"), "study.yaml")


HOSTILE = "a b; $(touch PWNED) `touch PWNED` 'q' \"d\" *?[x] & | > \N{LATIN SMALL LETTER E WITH ACUTE} #!%~\\ $HOME"


def test_a_study_with_hostile_names_runs_and_nothing_else_does(tmp_path):
    (tmp_path / "$(touch PWNED)").mkdir()
    np.save(tmp_path / "$(touch PWNED)" / "it's; touch PWNED.npy", np.ones((32, 32), np.int32))
    measured = {"import": {"files": ["$(touch PWNED)/it's; touch PWNED.npy"]}}
    study = tmp_path / "my study; $(touch PWNED) 'x'.yaml"
    content = STUDY | {"output": f"res/{HOSTILE}", "measurements": STUDY["measurements"] | {"two": measured}}
    content |= {"tables": {"both": {"metric": "r_factor", "columns": {"1": "one", "2": "two"}}}}
    study.write_text(yaml.safe_dump(content, allow_unicode=True))
    code, text = snakemake(tmp_path, study)
    assert code == 0, text
    out = tmp_path / "res" / HOSTILE
    assert (out / "report.html").is_file() and (out / "tables/both.tsv").is_file() and (out / "two/er/R.cxi").is_file()
    assert list(tmp_path.rglob("PWNED*")) == [] and not Path("PWNED").exists()
    assert {path.name for path in tmp_path.iterdir()} == {study.name, "res", "$(touch PWNED)", ".snakemake"}


def test_home_and_absolute_folders_are_where_they_say(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name, place in (("~/my results", tmp_path / "home/my results"), (f"{tmp_path}/else", tmp_path / "else")):
        study = tmp_path / "study.yaml"
        study.write_text(yaml.safe_dump(STUDY | {"output": name}))
        code, text = snakemake(tmp_path, study, str(place / "one/M.cxi"))
        assert code == 0, text
        assert (place / "one/M.cxi").is_file() and not (tmp_path / "~").exists()


@pytest.mark.parametrize("path", sorted((ROOT / "workflow/rules").glob("*.smk")), ids=lambda path: path.stem)
def test_files_stand_in_quotes_in_every_shell_command(path):
    for command in re.findall(r"^    shell:\n((?:        .*\n?)+)", path.read_text(), re.M):
        places = re.findall(r"\{((?:input|output|log)[^}]*|params\.(?:folder|recipe)[^}]*)\}", command)
        assert places and [place for place in places if not place.endswith(":q")] == []
