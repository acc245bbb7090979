"""`make run`: which study runs, and the place of its report, printed once."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
STUDY = {
    "measurements": {"one": {"scene": "polygons", "set": {"size": 64}}},
    "methods": {"er": {"method": "er"}},
    "scales": {"tiny": {"measurements": {"one": {"set": {"size": 32}}}}},
}


@pytest.fixture
def make_run(tmp_path):
    """`make run` in a folder of its own, with a Snakemake that only prints its arguments."""
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    shutil.copy(ROOT / "Makefile", tmp_path)
    stub = tmp_path / "bin" / "snakemake"
    stub.parent.mkdir()
    stub.write_text("#!/bin/sh\nprintf 'snakemake: %s\\n' \"$@\"\n")
    stub.chmod(0o755)
    path = os.pathsep.join([str(stub.parent), str(Path(sys.executable).parent), os.environ["PATH"]])

    def run(output: str, *options: str) -> list[str]:
        (tmp_path / "study.yaml").write_text(yaml.safe_dump(STUDY | {"output": output}))
        command = ["make", "--no-print-directory", "-s", "-o", ".venv/.cdipipe-installed", "run", "CONFIG=study.yaml"]
        done = subprocess.run(
            [*command, *options], cwd=tmp_path, env=os.environ | {"PATH": path}, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    return run


@pytest.mark.parametrize("output", ["results/mine", "/tmp/absolute folder", "it's $HOME; *"])
def test_the_report_is_named_once_with_its_whole_path(make_run, tmp_path, output):
    assert make_run(output)[-1] == f"Report: {tmp_path / output}/report.html"


def test_a_scale_is_written_to_a_file_of_its_own_and_run(make_run, tmp_path):
    said = make_run("results/mine", "SCALE=tiny")
    assert "snakemake: results/study-tiny.yaml" in said
    written = yaml.safe_load((tmp_path / "results/study-tiny.yaml").read_text())
    assert written["measurements"]["one"]["set"]["size"] == 32
