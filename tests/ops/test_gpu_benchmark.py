"""The script for the minutes on a GPU, tried on the CPU: a misspelt word in it would cost them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks/gpu.py"
STAGES = ("methods", "kernels", "hio", "savings", "dpr", "cdip", "cdi_nn")


@pytest.fixture
def script(monkeypatch):
    """The script's module."""
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    import gpu

    return gpu


def test_the_rehearsal_runs_every_stage(tmp_path, script, monkeypatch, capsys):
    output = tmp_path / "gpu.json"
    monkeypatch.setattr(sys, "argv", ["gpu.py", *STAGES, "--cpu-rehearsal", "-o", str(output)])
    assert script.main() == 0, capsys.readouterr().out
    record = json.loads(output.read_text())
    assert list(record["stages"]) == list(STAGES) and record["device"] == "a rehearsal on the CPU"
    assert record["stages"]["hio"]["all_told_s"] > 0 and record["stages"]["cdi_nn"]["32: patterns/s"] > 0
    savings = record["stages"]["savings"]
    assert savings["scaling"]["in a kernel: ms"] > 0 and savings["hio, graphs 1: s"] > 0 < savings["shots together: s"]
    assert {"batch of 1: ms", "batch of 2: ms"} <= set(record["stages"]["dpr"])


@pytest.mark.slow
def test_the_rehearsal_runs_tests_and_a_training_that_goes_on(tmp_path, script, monkeypatch):
    output = tmp_path / "gpu.json"
    monkeypatch.setattr(sys, "argv", ["gpu.py", "tests", "training", "--cpu-rehearsal", "-o", str(output)])
    assert script.main() == 0
    stages = json.loads(output.read_text())["stages"]
    assert stages["training"]["went_on"] and stages["tests"]["tests/ops/test_gpus.py"]["passed"] > 20


def test_without_a_gpu_it_says_why(tmp_path):
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": "", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--all", "-o", str(tmp_path / "gpu.json")],
        env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2 and "device cuda: no usable NVIDIA GPU here: " in done.stderr.splitlines()[-1]
    assert not (tmp_path / "gpu.json").exists()


def test_what_fails_is_written_down_and_the_next_stage_begins(tmp_path, script, monkeypatch):
    def broken(device, sizes):
        raise RuntimeError("CUDA error: an illegal memory access")

    def fine(device, sizes):
        return {"seconds": 1}

    monkeypatch.setattr(script, "STAGES", {"hio": broken, "dpr": fine, "training": fine})
    monkeypatch.setattr(script, "_card", lambda device: "a card")
    record = script.run(["hio", "dpr", "training"], "cpu", script.Sizes(), 0.5, tmp_path / "gpu.json")
    assert record["left_out"] == ["training"] and record["stages"]["dpr"]["seconds"] == 1
    assert script.faults_of(record) == ["hio: RuntimeError: CUDA error: an illegal memory access"]
    assert json.loads((tmp_path / "gpu.json").read_text())["stages"]["hio"]["error"]
