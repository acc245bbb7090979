"""The workflow for others: as a module, from either Snakefile, with what its catalogue and its containers expect."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from test_workflow import ROOT

STUDY = {
    "output": "out",
    "measurements": {"one": {"scene": "polygons", "set": {"size": 32}}},
    "methods": {"er": {"method": "er", "iterations": 5}},
    "keep_runs": False,
}
CONTAINERS = ROOT / "containers"


def plan(folder: Path, *options: str) -> str:
    """What a dry run says."""
    (folder / "study.yaml").write_text(yaml.safe_dump(STUDY))
    command = [sys.executable, "-m", "snakemake", "-n", "--cores", "1", *options]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_the_readme_of_the_configuration_shows_a_module_that_works(tmp_path):
    text = (ROOT / "config/README.md").read_text()
    shown = re.search(r"```python\n(.*?)```", text, re.S)[1]
    (tmp_path / "Snakefile").write_text(shown.replace("path/to/cdipipe", str(ROOT)))
    said = plan(tmp_path)
    assert re.search(r"^cdi_reconstruct_object +1$", said, re.M) and re.search(r"^all +1$", said, re.M)


@pytest.mark.parametrize("snakefile", ["Snakefile", "workflow/Snakefile"])
def test_both_snakefiles_run_the_study(tmp_path, snakefile):
    said = plan(tmp_path, "-s", str(ROOT / snakefile), "--configfile", "study.yaml")
    assert re.search(r"^write_report +1$", said, re.M)


def test_the_catalogue_finds_what_it_looks_for():
    usage = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    assert usage["software-stack-deployment"]["apptainer"] and usage["report"]
    named = re.search(r"--configfile (\S+)", usage["mandatory-flags"]["flags"])[1]
    for file in (named, "config/README.md", "workflow/Snakefile", "README.md"):
        assert (ROOT / file).is_file()


def test_every_study_file_of_the_readme_is_there():
    text = (ROOT / "config/README.md").read_text()
    named = re.findall(r"^\| `([^`]+)`", text, re.M)
    assert len(named) > 3 and all((ROOT / "config" / name).exists() for name in named)
    assert {path.name for path in (ROOT / "config").glob("*.yaml")} <= set(named)


@pytest.mark.parametrize("path", sorted((ROOT / "workflow/rules").glob("*.smk")), ids=lambda path: path.stem)
def test_what_is_drawn_is_in_snakemakes_report_with_caption_category_and_labels(path):
    for outputs in re.findall(r"^    output:\n(.*?)^    log:", path.read_text(), re.M | re.S):
        flags = re.findall(r"report\((.*?)\n {8,12}\),", outputs, re.S)
        for flag in flags:
            assert "category=" in flag and "labels=" in flag, flag
            assert (path.parent / re.search(r'caption="([^"]+)"', flag)[1]).is_file()
        unflagged = re.sub(r"report\(.*?\n {8,12}\),", "", outputs, flags=re.S)
        assert not re.search(r"\.(png|gif)\"|tables/", unflagged), unflagged


PRETENDED = """#!/bin/sh
case "$1" in --version) echo "apptainer version 1.3.4"; exit ;; esac
for word in "$@"; do
  case "$word" in *.sif) echo "$word" >> "$APPTAINER_LOG" ;; esac
  last=$word
done
exec bash -c "$last"
"""


def test_jobs_are_handed_to_apptainer_with_the_device_of_the_run(tmp_path, monkeypatch):
    """An Apptainer that runs the command it is given, where the real one would be in the image."""
    (tmp_path / "containers").mkdir()
    (tmp_path / "containers/cdipipe.sif").touch()
    (tmp_path / "apptainer").write_text(PRETENDED)
    (tmp_path / "apptainer").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv("APPTAINER_LOG", str(tmp_path / "log"))
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(STUDY | {"device": "cpu"}))
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "-s", str(ROOT / "Snakefile"), "--configfile"]
    command += ["study.yaml", "--sdm", "apptainer", "--until", "reconstruct_object"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    images = (tmp_path / "log").read_text().splitlines()
    assert len(images) == 2 and {Path(image).name for image in images} == {"cdipipe.sif"}
    assert (tmp_path / "out/one/er/R.cxi").exists()


@pytest.mark.parametrize("profile", sorted((ROOT / "workflow/profiles").iterdir()), ids=lambda path: path.name)
def test_profiles_name_rules_that_there_are(profile):
    settings = yaml.safe_load((profile / "config.yaml").read_text())
    rules = re.findall(r"^rule (\w+):", "".join(p.read_text() for p in (ROOT / "workflow/rules").glob("*.smk")), re.M)
    assert set(settings.get("set-resources", {})) <= set(rules)
    assert settings["rerun-incomplete"] and settings["nolock"] and settings["keep-going"]


def test_partitions_say_who_has_gpus():
    found = yaml.safe_load((ROOT / "workflow/profiles/slurm/partitions.yaml").read_text())["partitions"]
    assert [name for name, limits in found.items() if limits.get("max_gpu")] == ["gpu"]


def test_jobs_run_in_the_image_that_the_definition_makes():
    named = re.search(r'^container: "(.+)"$', (ROOT / "workflow/study.smk").read_text(), re.M)[1]
    assert f"apptainer build {named} containers/cdipipe.def" in (CONTAINERS / "cdipipe.def").read_text()


@pytest.mark.parametrize("name", ["cdipipe.Dockerfile", "cdipipe.def"])
def test_containers_are_made_of_files_that_there_are_with_the_same_steps(name):
    text = (CONTAINERS / name).read_text()
    for step in ("build.sh", "runtime.sh"):
        assert step in text and (CONTAINERS / step).stat().st_mode & 0o111
    for default in ("BUILD_IMAGE=ubuntu:24.04", "RUN_IMAGE=ubuntu:24.04", "CDIPIPE_CUDA=OFF"):
        assert default in text
    copied = re.findall(r"^    (\S+) /src/(\S+)$", text, re.M) or [
        (kept, kept) for kept in re.findall(r"^!(\S+)$", (CONTAINERS / f"{name}.dockerignore").read_text(), re.M)
    ]
    assert all(source == target and (ROOT / source).exists() for source, target in copied)
    needed = {
        "pyproject.toml",
        "constraints.txt",
        "README.md",
        "LICENSE",
        "Snakefile",
        "cdipipe",
        "csrc",
        "workflow",
        "config",
    }
    assert needed <= {source for source, _ in copied}
