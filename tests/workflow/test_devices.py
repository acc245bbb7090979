"""One device for all jobs of a run: what they reserve, and what each is told."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
STUDY = {
    "output": "out",
    "measurements": {"one": {"scene": "polygons", "set": {"size": 32}, "resolution": True}},
    "methods": {
        "er": {"method": "er", "iterations": 5},
        "hio": {"method": "hio", "iterations": 5},
        "large": {"method": "hio", "iterations": 10**6},
        "tuned": {"method": "er", "iterations": 5, "tune": None},
        "net": {"method": "cdi_nn", "checkpoint": "net"},
    },
    "corpora": {"samples": {"scene": "polygons", "count": 8, "set": {"size": 32, "photons": 0}}},
    "networks": {"net": {"network": "cdi_nn", "corpus": "samples", "devices": 2}},
    "keep_runs": False,
}
WITH_GPU = {"reconstruct": 1, "tune": 1, "train": 2, "resolution": 1}


def plan(folder: Path, variable: str | None, *options: str, **study) -> str:
    """Jobs and commands of a dry run."""
    (folder / "study.yaml").write_text(yaml.safe_dump(STUDY | study))
    environment = os.environ | {"CDIPIPE_DEVICE": variable or ""}
    command = [sys.executable, "-m", "snakemake", "-n", "-p", "--cores", "1", "-s", str(ROOT / "Snakefile")]
    done = subprocess.run(
        [*command, "--configfile", "study.yaml", *options], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def jobs(said: str) -> list[tuple[str, int, str]]:
    """Command, GPUs reserved and device told of every job that computes."""
    found = []
    for job in re.split(r"\n(?=(?:local)?rule |\[)", said):
        if line := re.search(r"cdipipe (\w+) .*--device (\w+)", job.replace("\n", " ")):
            found.append((line[1], int((re.search(r"\bgpu=(\d+)", job) or "00")[1]), line[2]))
    return found


@pytest.mark.parametrize("case", [(None, "cuda"), ("cuda", "cpu")])
def test_jobs_on_gpus_reserve_them(tmp_path, case):
    variable, asked = case
    found = jobs(plan(tmp_path, variable, device=asked))
    assert {(command, gpus) for command, gpus, _ in found} == set(WITH_GPU.items())
    assert {device for _, _, device in found} == {"cuda"} and len(found) >= 9


def test_a_device_that_is_decided_elsewhere_is_no_reason_to_run_again(tmp_path):
    on_cpu = jobs(plan(tmp_path, "cpu", device="cuda"))
    assert {(gpus, device) for _, gpus, device in on_cpu} == {(0, "cpu")}


def test_downloads_are_local_and_archives_come_before_what_is_made_of_them(tmp_path):
    scene = {"scene": "pseudo_objects", "set": {"size": 64, "shapes": "emnist", "densities": "cifar100"}}
    corpora = {"samples": scene | {"count": 8, "set": scene["set"] | {"photons": 0}}}
    parts = {"measurements": {"one": scene}, "methods": {"er": {"method": "er"}}, "corpora": corpora, "networks": {}}
    said = plan(tmp_path, "cpu", "--until", "fetch_data", **parts)
    assert re.search(r"^fetch_data +2$", said, re.M)
    assert "cdipipe fetch emnist" in said and "cdipipe fetch cifar100" in said
    text = (ROOT / "workflow/rules/measure.smk").read_text()
    assert re.search(r"^localrules:.*\n    fetch_data,$", text, re.M)  # tests/faults/test_slurm.py sees where it runs
