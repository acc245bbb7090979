"""What a release is made of agrees with itself: version, citation, changelog, hosted tests and wheels."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
HOSTED = {path.stem: yaml.safe_load(path.read_text()) for path in (ROOT / ".github/workflows").glob("*.yml")}


def steps(workflow: dict) -> list[str]:
    """All commands of a hosted workflow."""
    return [step["run"] for job in workflow["jobs"].values() for step in job["steps"] if "run" in step]


def test_version_citation_and_changelog_agree():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    version, date = re.findall(r"^## (\d+\.\d+\.\d+), (\S+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[0]
    assert PROJECT["project"]["version"] == citation["version"] == version
    assert citation["date-released"] == date and citation["license"] == PROJECT["project"]["license"]


def test_hosted_tests_and_wheels_have_every_python_that_is_promised():
    promised = [entry.rpartition(" ")[2] for entry in PROJECT["project"]["classifiers"] if "Python :: 3." in entry]
    assert HOSTED["tests"]["jobs"]["tests"]["strategy"]["matrix"]["python"] == promised
    tags = PROJECT["tool"]["cibuildwheel"]["build"].split()
    assert tags == [f"cp{python.replace('.', '')}-*" for python in promised]
    assert PROJECT["project"]["requires-python"] == f">={promised[0]}"


def test_hosted_workflows_do_what_is_done_here_before_a_merge():
    makefile = (ROOT / "Makefile").read_text()
    hosted = {word for run in steps(HOSTED["tests"]) if run.startswith("make ") for word in run.split()[1:]}
    hosted = {word for word in hosted if "=" not in word}
    here = {
        word
        for line in re.findall(r"^make (.+)$", (ROOT / ".ci/run").read_text(), re.MULTILINE)
        for word in line.split()
    }
    assert hosted == here and all(re.search(rf"^{word}:", makefile, re.MULTILINE) for word in hosted)
    assert any("tools/try_wheel.sh" in run for run in steps(HOSTED["tests"]))  # else a tag is the first to find out
    assert HOSTED["wheels"][True]["push"]["tags"] == ["v*"]  # YAML reads `on` as true


def test_a_release_has_the_version_of_its_tag():
    assert any("${GITHUB_REF_NAME#v}" in run and "pyproject.toml" in run for run in steps(HOSTED["wheels"]))
